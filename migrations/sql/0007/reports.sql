-- Reports of wrong mentions: the one thing that an analyst may write, through the one function that does.

CREATE VIEW analysis.mention_report AS
    SELECT r.id AS report_id, r.reported_at, r.pmid, r.pmid::bigint * 100000 + r.sentence_ordinal AS sentence_id,
           a.name AS annotator, r.annotator_id::integer AS annotator_id, r.label, r.start_char, r.end_char, r.text, r.reason,
           r.comment
    FROM comention.mention_report r
    JOIN comention.annotator a ON a.id = r.annotator_id;
COMMENT ON VIEW analysis.mention_report IS 'Mentions that readers of the dashboard hold to be wrong';
COMMENT ON COLUMN analysis.mention_report.report_id IS 'Number of the report';
COMMENT ON COLUMN analysis.mention_report.reported_at IS 'When it was reported';
COMMENT ON COLUMN analysis.mention_report.pmid IS 'The citation';
COMMENT ON COLUMN analysis.mention_report.sentence_id IS 'The sentence, as in analysis.sentence';
COMMENT ON COLUMN analysis.mention_report.annotator IS 'Name of the annotator whose mention it is';
COMMENT ON COLUMN analysis.mention_report.annotator_id IS 'Its number, as in analysis.annotator';
COMMENT ON COLUMN analysis.mention_report.label IS 'Label of the mention';
COMMENT ON COLUMN analysis.mention_report.start_char IS 'First character in the sentence, counted from 0 in Unicode code points';
COMMENT ON COLUMN analysis.mention_report.end_char IS 'One past its last character in the sentence';
COMMENT ON COLUMN analysis.mention_report.text IS 'What was marked when it was reported';
COMMENT ON COLUMN analysis.mention_report.reason IS 'not a mention, wrong span, wrong label, wrong concept or other';
COMMENT ON COLUMN analysis.mention_report.comment IS 'What the reader added, at most 1,000 characters';

CREATE FUNCTION analysis.report_mention(
    of_sentence_id bigint, of_annotator_id integer, of_label text, of_start_char integer, of_end_char integer,
    why text, said text DEFAULT ''
)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
    of_pmid CONSTANT integer := least($1 / 100000, 2147483647)::integer;
    of_ordinal CONSTANT integer := ($1 % 100000)::integer;
    surface text;
BEGIN
    -- Another isolation would count the reports of before the lock.
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'report_mention runs in a transaction of isolation READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF why IS NULL OR why NOT IN ('not a mention', 'wrong span', 'wrong label', 'wrong concept', 'other') THEN
        RAISE 'a reason is one of: not a mention, wrong span, wrong label, wrong concept, other'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF pg_catalog.length(said) > 1000 THEN
        RAISE 'a comment has at most 1,000 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT pg_catalog.left(m.text, 500) INTO surface
    FROM analysis.annotator_mention m
    WHERE m.pmid = of_pmid AND m.sentence_id = $1 AND m.annotator_id = $2 AND m.label = $3 AND m.start_char = $4
      AND m.end_char = $5
    LIMIT 1;
    IF surface IS NULL THEN
        RETURN 'unknown';
    END IF;
    LOCK TABLE comention.mention_report IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (
        SELECT FROM comention.mention_report r
        WHERE r.pmid = of_pmid AND r.sentence_ordinal = of_ordinal AND r.annotator_id = $2 AND r.label = $3
          AND r.start_char = $4 AND r.end_char = $5 AND r.reason = why AND r.comment = coalesce(said, '')
    ) THEN
        RETURN 'repeated';
    END IF;
    IF (SELECT count(*) FROM comention.mention_report r
        WHERE r.reported_at > pg_catalog.clock_timestamp() - interval '1 minute') >= 30
       OR (SELECT count(*) FROM comention.mention_report r
           WHERE r.reported_at > pg_catalog.clock_timestamp() - interval '1 day') >= 1000 THEN
        RETURN 'too many';
    END IF;
    INSERT INTO comention.mention_report
        (reported_at, pmid, sentence_ordinal, annotator_id, label, start_char, end_char, text, reason, comment)
    VALUES (pg_catalog.clock_timestamp(), of_pmid, of_ordinal, $2, $3, $4, $5, surface, why, coalesce(said, ''));
    RETURN 'stored';
END
$$;
COMMENT ON FUNCTION analysis.report_mention(bigint, integer, text, integer, integer, text, text) IS
    'Store that a mention, as analysis.annotator_mention has it, is wrong: not a mention, wrong span, wrong label, wrong concept or other, with a comment of at most 1,000 characters. Says what became of it: stored, repeated (the same was reported before), unknown (there is no such mention) or too many (30 within a minute or 1,000 within a day, all readers together). The only function of this schema that writes';
REVOKE EXECUTE ON FUNCTION analysis.report_mention(bigint, integer, text, integer, integer, text, text) FROM PUBLIC;
