-- Wrong offsets are refused here, whoever writes. Statement triggers look at all new rows at once. The planner knows nothing
-- of how many rows a statement brings, so the functions say that each is looked up by its key.

DROP TRIGGER sentence_is_slice_on_insert ON comention.sentence;
DROP TRIGGER sentence_is_slice_on_update ON comention.sentence;

CREATE OR REPLACE FUNCTION comention.refuse_wrong_sentences() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.pmid, s.last INTO wrong
    FROM (SELECT pmid, max(end_char) AS last FROM new_rows GROUP BY pmid) s
    JOIN comention.citation c USING (pmid)
    WHERE s.last > pg_catalog.length(c.text)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a sentence of PMID % ends at %, beyond its citation''s text', wrong.pmid, wrong.last
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sentence_is_slice';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER sentence_is_slice AFTER INSERT ON comention.sentence
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_sentences();

-- What mentions count from does not move or vanish under them: their ledger row goes first, and takes them along.
CREATE FUNCTION comention.refuse_sentence_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    RAISE EXCEPTION 'sentence % of PMID % cannot change: sentences are deleted and written anew', OLD.ordinal, OLD.pmid
        USING ERRCODE = 'check_violation', CONSTRAINT = 'sentence_stays';
END
$$;

CREATE TRIGGER sentence_stays BEFORE UPDATE ON comention.sentence
    FOR EACH ROW EXECUTE FUNCTION comention.refuse_sentence_change();

CREATE FUNCTION comention.refuse_sentence_loss() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wrong integer;
BEGIN
    SELECT s.pmid INTO wrong
    FROM (SELECT DISTINCT pmid FROM old_rows) s
    JOIN comention.citation_mentions m USING (pmid)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the sentences of PMID % cannot go while mentions stand in them', wrong
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'mention_in_sentence';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER mention_in_sentence AFTER DELETE ON comention.sentence
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_sentence_loss();

CREATE OR REPLACE FUNCTION comention.refuse_wrong_mentions() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off AS $$
DECLARE
    names integer[];
    wrong record;
BEGIN
    -- First whether all is well, in a third of the time that it takes to say what is wrong: the lengths of a citation's sentences
    -- are read as an array, if they are numbered from 0 on, and each name is looked up once.
    SELECT array_agg(DISTINCT u.id) INTO names FROM (SELECT unnest(name_ids) AS id FROM new_rows) u;
    IF cardinality(names) = (SELECT pg_catalog.count(*) FROM comention.name n WHERE n.id = ANY (names)) AND NOT EXISTS (
        SELECT FROM (
            SELECT s.lengths, unnest(m.sentence_ordinals) AS ordinal, unnest(m.starts) AS start_char, unnest(m.ends) AS end_char,
                   unnest(m.name_ids) AS name_id, unnest(m.scores) AS score, unnest(m.sentence_ordinals[2:]) AS next_ordinal,
                   unnest(m.starts[2:]) AS next_start, unnest(m.ends[2:]) AS next_end, unnest(m.name_ids[2:]) AS next_name
            FROM new_rows m
            LEFT JOIN LATERAL (
                SELECT CASE WHEN max(s.ordinal) + 1 = pg_catalog.count(*)
                            THEN array_agg(s.end_char - s.start_char ORDER BY s.ordinal) END AS lengths
                FROM comention.sentence s
                WHERE s.pmid = m.pmid
            ) s ON true
        ) u
        WHERE (
            0 <= u.start_char AND u.start_char < u.end_char AND u.end_char <= u.lengths[u.ordinal + 1]
            AND u.score BETWEEN 0 AND 1
            AND (u.next_ordinal IS NULL
                 OR (u.ordinal, u.start_char, u.end_char, u.name_id) < (u.next_ordinal, u.next_start, u.next_end, u.next_name))
        ) IS NOT TRUE
    ) THEN
        RETURN NULL;
    END IF;
    -- Beside each mention stands the next one: they are in strict order, so none is there twice.
    SELECT m.pmid, u.ordinal, u.start_char, u.end_char,
           CASE
               WHEN s.pmid IS NULL THEN 'there is no such sentence'
               WHEN n.id IS NULL THEN 'there is no name ' || coalesce(u.name_id::text, 'NULL')
               WHEN (u.score BETWEEN 0 AND 1) IS NOT TRUE THEN 'its score does not lie between 0 and 1'
               WHEN (0 <= u.start_char AND u.start_char < u.end_char
                     AND u.end_char <= s.end_char - s.start_char) IS NOT TRUE THEN 'it does not lie inside its sentence'
               ELSE 'the mentions are not in order, or one is there twice'
           END AS reason
    INTO wrong
    FROM new_rows m
    CROSS JOIN LATERAL unnest(
        m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores,
        m.sentence_ordinals[2:], m.starts[2:], m.ends[2:], m.name_ids[2:]
    ) AS u (ordinal, start_char, end_char, name_id, score, next_ordinal, next_start, next_end, next_name)
    LEFT JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = u.ordinal
    LEFT JOIN comention.name n ON n.id = u.name_id
    WHERE (
        n.id IS NOT NULL
        AND 0 <= u.start_char AND u.start_char < u.end_char AND u.end_char <= s.end_char - s.start_char
        AND u.score BETWEEN 0 AND 1
        AND (u.next_ordinal IS NULL
             OR (u.ordinal, u.start_char, u.end_char, u.name_id) < (u.next_ordinal, u.next_start, u.next_end, u.next_name))
    ) IS NOT TRUE
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'mention [%, %) of sentence % of PMID % is wrong: %',
            wrong.start_char, wrong.end_char, wrong.ordinal, wrong.pmid, wrong.reason
            USING ERRCODE = 'check_violation', CONSTRAINT = 'mention_inside_sentence';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER mention_inside_sentence_on_insert AFTER INSERT ON comention.citation_mentions
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_mentions();
CREATE TRIGGER mention_inside_sentence_on_update AFTER UPDATE ON comention.citation_mentions
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION comention.refuse_wrong_mentions();

CREATE FUNCTION comention.refuse_name_loss() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    IF EXISTS (SELECT FROM comention.citation_mentions m
               WHERE comention.mention_keys(m.pmid, m.name_ids) && ARRAY[OLD.id]) THEN
        RAISE EXCEPTION 'the name "%" cannot go while mentions have it', OLD.text
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'mention_has_name';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER mention_has_name BEFORE DELETE ON comention.name
    FOR EACH ROW EXECUTE FUNCTION comention.refuse_name_loss();

-- What full-text search knows of a sentence is made of the words that stand in the citation, whoever writes.
CREATE FUNCTION comention.fill_sentence_text() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    NEW.document := (
        SELECT to_tsvector('pg_catalog.english', pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char))
        FROM comention.sentence s
        JOIN comention.citation c USING (pmid)
        WHERE s.pmid = NEW.pmid AND s.ordinal = NEW.ordinal
    );
    RETURN NEW;
END
$$;

CREATE TRIGGER sentence_text_of_citation BEFORE INSERT OR UPDATE ON comention.sentence_text
    FOR EACH ROW EXECUTE FUNCTION comention.fill_sentence_text();
