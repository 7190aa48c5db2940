-- Co-occurrence counts, exact at every instant: whoever changes what counts appends the change as deltas in the same
-- transaction, and every reader adds the deltas to the folded counts. Writers never wait for one another's counts.

-- What each of the given citations contributes, by cell: in how many of its sentences drug and condition stand together.
-- A cell with drug_id = 0 or condition_id = 0 is a margin: the sentences that mention the other, whatever else they mention;
-- with both 0, the sentences that were annotated. A margin says too how many pairs the citation has of that drug or condition
-- (of any, with both 0), as STRING's score needs; of a pair that is null.
-- Retracted citations and annotations of an older content contribute nothing; `of_retracted` asks what the retracted would.
CREATE FUNCTION comention.citation_contribution(pmids integer[], for_annotator smallint, of_retracted boolean DEFAULT false)
RETURNS TABLE (annotator_id smallint, pmid integer, year smallint, drug_id integer, condition_id integer,
               sentence_count integer, citation_count integer, pair_count integer)
LANGUAGE sql STABLE SET search_path = '' AS $$
    WITH counted AS MATERIALIZED (
        SELECT a.annotator_id, a.pmid, a.sentence_count,
               coalesce(extract(year FROM c.published_on), 0)::smallint AS year
        FROM comention.annotation a
        JOIN comention.citation c USING (pmid)
        WHERE a.pmid = ANY (pmids)
          AND (for_annotator IS NULL OR a.annotator_id = for_annotator)
          AND a.content_hash = c.content_hash
          AND c.retracted = of_retracted
    ), line AS (
        -- Pairs come from the two lists of a sentence, not from a join of mentions with mentions. Arrays are unnested where columns
        -- are listed: that takes a third of what functions in FROM do.
        SELECT u.annotator_id, u.year, u.pmid, u.ordinal,
               array_agg(DISTINCT n.concept_id)
                   FILTER (WHERE n.label_id = (SELECT id FROM comention.label WHERE name = 'Drug')) AS drugs,
               array_agg(DISTINCT n.concept_id)
                   FILTER (WHERE n.label_id = (SELECT id FROM comention.label WHERE name = 'Condition')) AS conditions
        FROM (
            SELECT k.annotator_id, k.year, k.pmid, unnest(m.sentence_ordinals) AS ordinal, unnest(m.name_ids) AS name_id
            FROM counted k
            JOIN comention.citation_mentions m USING (pmid, annotator_id)
        ) u
        JOIN comention.name n ON n.id = u.name_id
        GROUP BY u.annotator_id, u.year, u.pmid, u.ordinal
    ), cell AS MATERIALIZED (
        SELECT annotator_id, pmid, year, drug_id, condition_id, count(*)::integer AS sentence_count
        FROM (
            SELECT annotator_id, pmid, year, drug_id, unnest(0 || conditions) AS condition_id
            FROM (SELECT annotator_id, pmid, year, conditions, unnest(0 || drugs) AS drug_id FROM line) of_drug
        ) of_pair
        WHERE drug_id <> 0 OR condition_id <> 0
        GROUP BY annotator_id, pmid, year, drug_id, condition_id
    ), paired AS (
        SELECT annotator_id, pmid, coalesce(drug_id, 0) AS drug_id, coalesce(condition_id, 0) AS condition_id,
               count(*)::integer AS pair_count
        FROM cell
        WHERE drug_id <> 0 AND condition_id <> 0
        GROUP BY annotator_id, pmid, GROUPING SETS ((drug_id), (condition_id), ())
    )
    SELECT annotator_id, pmid, year, drug_id, condition_id, sentence_count, 1, NULL::integer
    FROM cell
    WHERE drug_id <> 0 AND condition_id <> 0
    UNION ALL
    SELECT annotator_id, pmid, year, drug_id, condition_id, sentence_count, 1, coalesce(pair_count, 0)
    FROM (
        SELECT annotator_id, pmid, year, drug_id, condition_id, sentence_count FROM cell WHERE drug_id = 0 OR condition_id = 0
        UNION ALL
        SELECT annotator_id, pmid, year, 0, 0, sentence_count FROM counted
    ) margin
    LEFT JOIN paired USING (annotator_id, pmid, drug_id, condition_id)
$$;

DROP FUNCTION comention.append_counts(integer[], smallint, integer);
DROP FUNCTION comention.contribution(integer[], smallint);

-- The same, summed over the citations.
CREATE FUNCTION comention.contribution(pmids integer[], for_annotator smallint)
RETURNS TABLE (annotator_id smallint, drug_id integer, condition_id integer, year smallint,
               sentence_count bigint, citation_count bigint, pair_count bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT annotator_id, drug_id, condition_id, year, sum(sentence_count)::bigint, sum(citation_count)::bigint,
           sum(pair_count)::bigint
    FROM comention.citation_contribution(pmids, for_annotator)
    GROUP BY annotator_id, drug_id, condition_id, year
$$;

-- Take what the given citations contribute out of the counts, and keep it with the reason, before a change.
CREATE FUNCTION comention.take_out_counts(pmids integer[], for_annotator smallint, why text) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    -- Which concept a name stands for does not change between this and the counting in.
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtext('comention.link'));
    WITH part AS MATERIALIZED (
        SELECT * FROM comention.citation_contribution(pmids, for_annotator)
    ), kept AS (
        INSERT INTO comention.past_contribution
            (pmid, annotator_id, counted_since, counted_until, reason, year, drug_ids, condition_ids, sentence_counts)
        SELECT p.pmid, p.annotator_id, a.counted_since, greatest(a.counted_since, now()), why, p.year,
               array_agg(p.drug_id ORDER BY p.drug_id, p.condition_id),
               array_agg(p.condition_id ORDER BY p.drug_id, p.condition_id),
               array_agg(p.sentence_count ORDER BY p.drug_id, p.condition_id)
        FROM part p
        JOIN comention.annotation a USING (pmid, annotator_id)
        GROUP BY p.pmid, p.annotator_id, a.counted_since, p.year
    )
    INSERT INTO comention.cooccurrence_delta
        (annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year)
    SELECT annotator_id, drug_id, condition_id, min(nullif(year, 0)), max(nullif(year, 0)), -sum(s), -sum(c), -sum(p),
           CASE WHEN count(*) > 1 THEN array_agg(ARRAY[year, -s, -c, -coalesce(p, 0)]) END
    FROM (
        SELECT annotator_id, drug_id, condition_id, year, sum(sentence_count)::integer AS s, sum(citation_count)::integer AS c,
               sum(pair_count)::integer AS p
        FROM part
        GROUP BY annotator_id, drug_id, condition_id, year
    ) of_year
    GROUP BY annotator_id, drug_id, condition_id;
END
$$;

-- Count them in, after the change.
CREATE FUNCTION comention.count_in(pmids integer[], for_annotator smallint) RETURNS void
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(pg_catalog.hashtext('comention.link'));
    UPDATE comention.annotation
    SET counted_since = now()
    WHERE pmid = ANY (pmids) AND (for_annotator IS NULL OR annotator_id = for_annotator) AND counted_since < now();
    INSERT INTO comention.cooccurrence_delta
        (annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year)
    SELECT annotator_id, drug_id, condition_id, min(nullif(year, 0)), max(nullif(year, 0)), sum(sentence_count),
           sum(citation_count), sum(pair_count),
           CASE WHEN count(*) > 1 THEN
               array_agg(ARRAY[year, sentence_count, citation_count, coalesce(pair_count, 0)]::integer[]) END
    FROM comention.contribution(pmids, for_annotator)
    GROUP BY annotator_id, drug_id, condition_id;
END
$$;

-- Let names stand for other concepts, and move the counts of every citation that has one of them.
-- Nobody counts meanwhile, so the two halves see the same citations.
CREATE FUNCTION comention.link_names(names integer[], concepts integer[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    changed integer[];
    touched integer[];
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('comention.link'));
    SELECT array_agg(n.id) INTO changed
    FROM unnest(names, concepts) w (name_id, concept_id)
    JOIN comention.name n ON n.id = w.name_id AND n.concept_id <> w.concept_id;
    IF changed IS NULL THEN
        RETURN 0;
    END IF;
    SELECT array_agg(DISTINCT m.pmid) INTO touched
    FROM comention.citation_mentions m
    WHERE comention.mention_keys(m.pmid, m.name_ids) && changed;
    PERFORM comention.take_out_counts(touched, NULL, 're-linking');
    UPDATE comention.name n SET concept_id = w.concept_id
    FROM unnest(names, concepts) w (name_id, concept_id)
    WHERE n.id = w.name_id AND n.concept_id <> w.concept_id;
    PERFORM comention.count_in(touched, NULL);
    RETURN cardinality(changed);
END
$$;

-- The years of a cell, as rows of year, sentences, citations and pairs, with each year once, in order, and without those that
-- have become empty; null where none is left.
CREATE FUNCTION comention.merge_years(years integer[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
    SELECT array_agg(ARRAY[y.year, y.s, y.c, y.p]::integer[] ORDER BY y.year)
    FROM (
        SELECT years[i][1] AS year, sum(years[i][2]) AS s, sum(years[i][3]) AS c, sum(years[i][4]) AS p
        FROM pg_catalog.generate_series(1, array_length(years, 1)) i
        GROUP BY 1
        HAVING sum(years[i][2]) <> 0 OR sum(years[i][3]) <> 0
    ) y
$$;

-- Fold the deltas into the counts; the sum that readers see does not change. Returns how many deltas it found.
-- One folds at a time; another that comes meanwhile, or within ``after`` of when the last began, has nothing to do, and is told
-- so by a null: what several have added is folded at once, a cell of several deltas once. Cells are looked up by their keys: a join that
-- read all of the counts for a few thousand deltas would take longer than everything else, and so would walking over all
-- partners of a drug in the index of a ranking, which the planner prefers because it needs no visit to the table.
-- The years of the deltas are put before those that a cell has, for readers add up the years anyhow, and of a row that has grown in
-- front the log holds the front alone; they are merged where a cell has collected many, and where something is taken away, so that
-- no year stays that nothing is left of.
CREATE SEQUENCE comention.folded_at;
COMMENT ON SEQUENCE comention.folded_at IS
    'Milliseconds since 1970 when folding last began. All see it at once, and to set it leaves no dead row';
DROP FUNCTION comention.fold_counts();
CREATE FUNCTION comention.fold_counts(after interval DEFAULT '0') RETURNS bigint
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_indexonlyscan = off AS $$
DECLARE
    found bigint;
BEGIN
    -- A clock that was put back is no reason to wait until it has come round again.
    IF after > '0' AND (
            SELECT pg_catalog.clock_timestamp() - pg_catalog.to_timestamp(f.last_value / 1000.0) BETWEEN '0' AND after
            FROM comention.folded_at f)
        OR NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('comention.fold_counts')) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_catalog.setval('comention.folded_at', (1000 * extract(epoch FROM pg_catalog.clock_timestamp()))::bigint);
    SELECT pg_catalog.count(*) INTO found FROM comention.cooccurrence_delta;
    WITH taken AS (
        DELETE FROM comention.cooccurrence_delta
        RETURNING annotator_id, drug_id, condition_id, first_year, sentence_count, citation_count, pair_count, by_year
    ), of_year AS (
        SELECT t.annotator_id, t.drug_id, t.condition_id,
               CASE WHEN t.by_year IS NULL THEN coalesce(t.first_year, 0) ELSE t.by_year[i][1] END AS year,
               sum(CASE WHEN t.by_year IS NULL THEN t.sentence_count ELSE t.by_year[i][2] END)::bigint AS s,
               sum(CASE WHEN t.by_year IS NULL THEN t.citation_count ELSE t.by_year[i][3] END)::bigint AS c,
               sum(CASE WHEN t.by_year IS NULL THEN t.pair_count WHEN t.pair_count IS NOT NULL THEN t.by_year[i][4] END)::bigint AS p
        FROM (SELECT *, pg_catalog.generate_series(1, coalesce(array_length(by_year, 1), 1)) AS i FROM taken) t
        GROUP BY 1, 2, 3, 4
    ), cell AS MATERIALIZED (
        SELECT annotator_id, drug_id, condition_id, sum(s)::bigint AS s, sum(c)::bigint AS c, sum(p)::bigint AS p,
               min(nullif(year, 0))::smallint AS first_year, max(nullif(year, 0))::smallint AS last_year, count(*) = 1 AS one_year,
               bool_or(s < 0 OR c < 0) AS taking, array_agg(ARRAY[year, s, c, coalesce(p, 0)]::integer[] ORDER BY year) AS years
        FROM of_year
        WHERE s <> 0 OR c <> 0 OR p <> 0
        GROUP BY annotator_id, drug_id, condition_id
        ORDER BY annotator_id, drug_id, condition_id
    )
    MERGE INTO comention.cooccurrence_total t
    USING (
        -- Where something is taken away, what is left of the years says which are the first and the last.
        SELECT x.*, CASE WHEN x.taking THEN (  -- a join would merge the years of all
            SELECT comention.merge_years(x.years || coalesce(o.by_year, ARRAY[ARRAY[
                       coalesce(o.first_year, 0), o.sentence_count, o.citation_count, coalesce(o.pair_count, 0)]]::integer[]))
            FROM comention.cooccurrence_total o
            WHERE o.annotator_id = x.annotator_id AND o.drug_id = x.drug_id AND o.condition_id = x.condition_id
        ) END AS exact
        FROM cell x
        OFFSET 0
    ) x
    ON t.annotator_id = x.annotator_id AND t.drug_id = x.drug_id AND t.condition_id = x.condition_id
    WHEN MATCHED AND t.sentence_count + x.s = 0 AND t.citation_count + x.c = 0 THEN DELETE
    WHEN MATCHED AND x.taking THEN UPDATE SET
        first_year = coalesce(nullif(x.exact[1][1], 0), x.exact[2][1]),
        last_year = nullif(x.exact[array_length(x.exact, 1)][1], 0),
        sentence_count = t.sentence_count + x.s, citation_count = t.citation_count + x.c, pair_count = t.pair_count + x.p,
        by_year = CASE WHEN array_length(x.exact, 1) > 1 THEN x.exact END
    WHEN MATCHED THEN UPDATE SET
        first_year = least(x.first_year, t.first_year), last_year = greatest(x.last_year, t.last_year),
        sentence_count = t.sentence_count + x.s, citation_count = t.citation_count + x.c, pair_count = t.pair_count + x.p,
        by_year = CASE
            WHEN t.by_year IS NULL AND x.one_year AND coalesce(t.first_year, 0) = coalesce(x.first_year, 0) THEN NULL
            WHEN t.by_year IS NULL THEN x.years || ARRAY[
                coalesce(t.first_year, 0), t.sentence_count, t.citation_count, coalesce(t.pair_count, 0)]::integer[]
            WHEN cardinality(t.by_year) > 400 THEN comention.merge_years(x.years || t.by_year)
            ELSE x.years || t.by_year END
    WHEN NOT MATCHED AND (x.s <> 0 OR x.c <> 0) THEN
        INSERT (annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year)
        VALUES (x.annotator_id, x.drug_id, x.condition_id, x.first_year, x.last_year, x.s, x.c, x.p,
                CASE WHEN NOT x.one_year THEN x.years END);
    RETURN found;
END
$$;

-- Totals and deltas, side by side: the sums of a cell's rows are its counts. Not grouped, so that a join reaches the indexes.
CREATE VIEW comention.cooccurrence_total_part AS
    SELECT annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year
    FROM comention.cooccurrence_total
    UNION ALL
    SELECT annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year
    FROM comention.cooccurrence_delta;

-- The same by year, 0 where it is unknown. A year may come several times.
CREATE OR REPLACE VIEW comention.cooccurrence_part AS
    SELECT t.annotator_id, t.drug_id, t.condition_id,
           CASE WHEN t.by_year IS NULL THEN coalesce(t.first_year, 0::smallint) ELSE t.by_year[i][1]::smallint END AS year,
           CASE WHEN t.by_year IS NULL THEN t.sentence_count ELSE t.by_year[i][2]::bigint END AS sentence_count,
           CASE WHEN t.by_year IS NULL THEN t.citation_count ELSE t.by_year[i][3]::bigint END AS citation_count,
           CASE WHEN t.by_year IS NULL THEN t.pair_count
                WHEN t.pair_count IS NOT NULL THEN t.by_year[i][4]::bigint END AS pair_count
    FROM comention.cooccurrence_total_part t
    CROSS JOIN LATERAL pg_catalog.generate_series(1, coalesce(array_length(t.by_year, 1), 1)) i;

-- Every cell as it stands now.
CREATE OR REPLACE VIEW comention.cooccurrence_cell AS
    SELECT annotator_id, drug_id, condition_id, year,
           sum(sentence_count)::bigint AS sentence_count, sum(citation_count)::bigint AS citation_count,
           sum(pair_count)::bigint AS pair_count
    FROM comention.cooccurrence_part
    GROUP BY annotator_id, drug_id, condition_id, year
    HAVING sum(sentence_count) <> 0 OR sum(citation_count) <> 0 OR sum(pair_count) <> 0;

-- Which annotator is promoted, since when.
CREATE FUNCTION comention.note_promotion() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
    INSERT INTO comention.promotion (annotator_id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER note_promotion_of_new AFTER INSERT ON comention.annotator
    FOR EACH ROW WHEN (NEW.promoted) EXECUTE FUNCTION comention.note_promotion();
CREATE TRIGGER note_promotion AFTER UPDATE OF promoted ON comention.annotator
    FOR EACH ROW WHEN (NEW.promoted AND NOT OLD.promoted) EXECUTE FUNCTION comention.note_promotion();

-- Make at most so many citations' sentences known to full-text search; returns how many it took. The newest first.
CREATE FUNCTION comention.index_sentences(at_most integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = '' SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    taken integer[];
BEGIN
    -- What another process has taken, or a writer holds, is left for the next time: nobody waits, so nobody can deadlock.
    WITH gone AS (
        DELETE FROM comention.unindexed_citation
        WHERE pmid = ANY (ARRAY(
            SELECT u.pmid
            FROM comention.unindexed_citation u
            JOIN comention.citation c USING (pmid)
            ORDER BY u.pmid DESC
            LIMIT at_most
            FOR UPDATE OF u SKIP LOCKED
            FOR SHARE OF c SKIP LOCKED
        ))
        RETURNING pmid
    )
    SELECT array_agg(pmid) INTO taken FROM gone;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO comention.sentence_text (pmid, ordinal)
    SELECT s.pmid, s.ordinal
    FROM comention.sentence s
    WHERE s.pmid = ANY (taken)
    ORDER BY s.pmid, s.ordinal
    ON CONFLICT DO NOTHING;
    RETURN cardinality(taken);
END
$$;
