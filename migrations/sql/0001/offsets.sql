-- Wrong offsets are refused here, whoever writes. Statement triggers look at all new rows at once: one join a COPY, not one
-- look-up a row.

CREATE FUNCTION comention.refuse_wrong_sentences() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.pmid, s.ordinal INTO wrong
    FROM new_rows s
    JOIN comention.citation c USING (pmid)
    WHERE s.text IS DISTINCT FROM pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'sentence % of PMID % is not the slice of its citation''s text that its offsets name',
            wrong.ordinal, wrong.pmid USING ERRCODE = 'check_violation', CONSTRAINT = 'sentence_is_slice';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER sentence_is_slice_on_insert AFTER INSERT ON comention.sentence
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_sentences();
CREATE TRIGGER sentence_is_slice_on_update AFTER UPDATE ON comention.sentence
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_sentences();

CREATE FUNCTION comention.refuse_wrong_mentions() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    wrong record;
BEGIN
    SELECT m.pmid, m.sentence_ordinal, m.start_char, m.end_char INTO wrong
    FROM new_rows m
    JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = m.sentence_ordinal
    WHERE m.end_char > s.end_char - s.start_char
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'mention [%, %) does not lie inside sentence % of PMID %',
            wrong.start_char, wrong.end_char, wrong.sentence_ordinal, wrong.pmid
            USING ERRCODE = 'check_violation', CONSTRAINT = 'mention_inside_sentence';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER mention_inside_sentence_on_insert AFTER INSERT ON comention.mention
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_mentions();
CREATE TRIGGER mention_inside_sentence_on_update AFTER UPDATE ON comention.mention
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_mentions();

-- A text may only change when its sentences have gone.
CREATE FUNCTION comention.refuse_text_change_under_sentences() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM comention.sentence s WHERE s.pmid = NEW.pmid) THEN
        RAISE EXCEPTION 'the text of PMID % cannot change while it has sentences', NEW.pmid
            USING ERRCODE = 'check_violation', CONSTRAINT = 'text_matches_sentences';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER text_matches_sentences BEFORE UPDATE OF text ON comention.citation
    FOR EACH ROW WHEN (OLD.text IS DISTINCT FROM NEW.text)
    EXECUTE FUNCTION comention.refuse_text_change_under_sentences();
