-- Co-occurrence counts, exact at every instant: whoever changes what counts appends the change as deltas in the same
-- transaction, and every reader adds the deltas to the folded counts. Writers never wait for one another's counts.

-- What the given citations contribute, by cell.
-- A cell with drug_id = 0 or condition_id = 0 is a margin; with both 0, the number of sentences and citations annotated.
-- Retracted citations and annotations of an older content count for nothing.
CREATE FUNCTION comention.contribution(pmids integer[], for_annotator smallint)
RETURNS TABLE (annotator_id smallint, drug_id integer, condition_id integer, year smallint,
               sentence_count bigint, citation_count bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    WITH counted AS (
        SELECT a.annotator_id, a.pmid, a.sentence_count,
               coalesce(extract(year FROM c.published_on), 0)::smallint AS year
        FROM comention.annotation a
        JOIN comention.citation c USING (pmid)
        WHERE a.pmid = ANY (pmids)
          AND (for_annotator IS NULL OR a.annotator_id = for_annotator)
          AND a.content_hash = c.content_hash
          AND NOT c.retracted
    ), spot AS (
        SELECT DISTINCT k.annotator_id, k.year, m.pmid, m.sentence_ordinal, n.concept_id, l.name AS label
        FROM counted k
        JOIN comention.mention m ON m.pmid = k.pmid AND m.annotator_id = k.annotator_id
        JOIN comention.name n ON n.id = m.name_id
        JOIN comention.label l ON l.id = n.label_id
        WHERE l.name IN ('Drug', 'Condition')
    ), line AS (
        -- Pairs come from the two lists of a sentence, not from a join of mentions with mentions, which the planner,
        -- knowing nothing of how few stand in one sentence, would run over all of them.
        SELECT annotator_id, year, pmid, sentence_ordinal,
               array_agg(concept_id) FILTER (WHERE label = 'Drug') AS drugs,
               array_agg(concept_id) FILTER (WHERE label = 'Condition') AS conditions
        FROM spot
        GROUP BY annotator_id, year, pmid, sentence_ordinal
    ), cell AS (
        SELECT l.annotator_id, l.year, l.pmid, d.id AS drug_id, c.id AS condition_id
        FROM line l
        CROSS JOIN LATERAL unnest(0 || l.drugs) d (id)
        CROSS JOIN LATERAL unnest(0 || l.conditions) c (id)
        WHERE d.id <> 0 OR c.id <> 0
    )
    SELECT annotator_id, drug_id, condition_id, year, count(*), count(DISTINCT pmid)
    FROM cell
    GROUP BY annotator_id, drug_id, condition_id, year
    UNION ALL
    SELECT annotator_id, 0, 0, year, sum(sentence_count)::bigint, count(*)
    FROM counted
    GROUP BY annotator_id, year
$$;

-- Append what the given citations contribute, times `sign`: -1 before a change, +1 after it.
CREATE FUNCTION comention.append_counts(pmids integer[], for_annotator smallint, sign integer) RETURNS void
LANGUAGE sql SET search_path = '' AS $$
    INSERT INTO comention.cooccurrence_delta
        (annotator_id, drug_id, condition_id, year, sentence_count, citation_count)
    SELECT annotator_id, drug_id, condition_id, year, sign * sentence_count, sign * citation_count
    FROM comention.contribution(pmids, for_annotator)
$$;

-- Fold the deltas into the counts; the sum that readers see does not change. Returns how many deltas were folded.
-- One folds at a time; another that comes meanwhile has nothing to do.
CREATE FUNCTION comention.fold_counts() RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    folded bigint;
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('comention.fold_counts')) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        DELETE FROM comention.cooccurrence_delta
        RETURNING annotator_id, drug_id, condition_id, year, sentence_count, citation_count
    ), summed AS (
        SELECT annotator_id, drug_id, condition_id, year,
               sum(sentence_count)::bigint AS sentence_count, sum(citation_count)::bigint AS citation_count
        FROM taken
        GROUP BY annotator_id, drug_id, condition_id, year
    ), written AS (
        INSERT INTO comention.cooccurrence_count AS t
            (annotator_id, drug_id, condition_id, year, sentence_count, citation_count)
        SELECT s.annotator_id, s.drug_id, s.condition_id, s.year,
               s.sentence_count + coalesce(o.sentence_count, 0), s.citation_count + coalesce(o.citation_count, 0)
        FROM summed s
        LEFT JOIN comention.cooccurrence_count o USING (annotator_id, drug_id, condition_id, year)
        WHERE s.sentence_count <> 0 OR s.citation_count <> 0
        ON CONFLICT (annotator_id, drug_id, condition_id, year) DO UPDATE
            SET sentence_count = EXCLUDED.sentence_count, citation_count = EXCLUDED.citation_count
    )
    SELECT pg_catalog.count(*) INTO folded FROM taken;
    DELETE FROM comention.cooccurrence_count WHERE sentence_count = 0 AND citation_count = 0;
    RETURN folded;
END
$$;

-- Folded counts and deltas, side by side: the sums of a cell's rows are its counts. Not grouped, so that a join reaches the indexes.
CREATE VIEW comention.cooccurrence_part AS
    SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count
    FROM comention.cooccurrence_count
    UNION ALL
    SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count
    FROM comention.cooccurrence_delta;

-- Every cell as it stands now.
CREATE VIEW comention.cooccurrence_cell AS
    SELECT annotator_id, drug_id, condition_id, year,
           sum(sentence_count)::bigint AS sentence_count, sum(citation_count)::bigint AS citation_count
    FROM comention.cooccurrence_part
    GROUP BY annotator_id, drug_id, condition_id, year
    HAVING sum(sentence_count) <> 0 OR sum(citation_count) <> 0;
