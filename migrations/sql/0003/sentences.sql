-- The newest sentences of a pair. A rare pair is read whole; of a frequent one, so many blocks of PMIDs at a time as should
-- hold enough, from the highest downwards. The index is asked for the pairs of names that the two have, or, where they have too many
-- names for that, for the names of each.
CREATE FUNCTION analysis.evidence(
    drug text, condition text, max_rows integer DEFAULT 20, from_year integer DEFAULT NULL, to_year integer DEFAULT NULL,
    section text DEFAULT NULL, publication_type text DEFAULT NULL, min_score real DEFAULT NULL,
    before_sentence_id bigint DEFAULT NULL
)
RETURNS TABLE (
    sentence_id bigint, pmid integer, text text, drug_starts integer[], drug_ends integer[], condition_starts integer[],
    condition_ends integer[], score real, section_label text, year integer, title text, journal text,
    publication_types text[]
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_indexonlyscan = off AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    of_drug CONSTANT integer := comention.find_concept('Drug', $1);
    of_condition CONSTANT integer := comention.find_concept('Condition', $2);
    drugs CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_drug);
    conditions CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_condition);
    pairs CONSTANT integer[] := CASE WHEN cardinality(drugs) * cardinality(conditions) <= 256 THEN
        16777216 || ARRAY(SELECT DISTINCT comention.name_pair(d, c) FROM unnest(drugs) d, unnest(conditions) c) END;
    before_pmid CONSTANT integer := coalesce($9 / 100000, 2147483647);
    citations bigint;
    of_both bigint;
    of_either bigint;
    rarer integer[];
    highest integer;
    lowest integer;
    -- Blocks of 4,096 PMIDs that are read next; whether by their own keys or by those of 65,536, and which.
    blocks integer;
    size integer;
    top integer;
    bottom integer;
    within integer[];
    missing integer := $3;
    got integer;
    found integer := 0;
    read_blocks integer := 0;
BEGIN
    -- Each looked up on its own: a join would read all deltas, for the planner knows the table of them as empty.
    SELECT sum(p.n) FILTER (WHERE w.drug_id > 0 AND w.condition_id > 0),
           sum(p.n) FILTER (WHERE w.drug_id = 0 OR w.condition_id = 0),
           least(sum(p.n) FILTER (WHERE w.condition_id = 0), sum(p.n) FILTER (WHERE w.drug_id = 0)),
           CASE WHEN sum(p.n) FILTER (WHERE w.condition_id = 0) < sum(p.n) FILTER (WHERE w.drug_id = 0)
                THEN drugs ELSE conditions END
    INTO citations, of_both, of_either, rarer
    FROM (VALUES (of_drug, of_condition), (of_drug, 0), (0, of_condition)) w (drug_id, condition_id)
    CROSS JOIN LATERAL (
        SELECT sum(x.citation_count) AS n
        FROM comention.cooccurrence_total_part x
        WHERE x.annotator_id = a AND x.drug_id = w.drug_id AND x.condition_id = w.condition_id
    ) p;
    IF coalesce(citations, 0) <= 0 THEN
        RETURN;
    END IF;
    SELECT max(c.pmid) >> 12, min(c.pmid) >> 12 INTO highest, lowest FROM comention.citation c;
    top := least(highest, before_pmid >> 12);
    -- A quarter more than are wanted, as if the pair were spread evenly; what is missing then is looked for in as many as it should
    -- take by what was found. To take more would cost more: of two frequent names that seldom share a sentence, each citation that
    -- has both is read through.
    blocks := least(highest - lowest + 1, greatest(1, ceil((highest - lowest + 1) * 1.25 * missing / citations)));
    WHILE missing > 0 AND top >= lowest LOOP
        size := CASE WHEN blocks <= 16 THEN 0 ELSE 1 END;
        bottom := greatest(lowest, (top - blocks + 1) >> 4 * size << 4 * size);
        -- The lists of many blocks are longer to read than what they spare. A block takes as long as 16 citations of the pair do, and
        -- as 6 of them where it is one of 16 that share a list; as long as 400 citations in the lists of the two, of which only those
        -- that are in both are read, and of a list much longer than the other only the pages that that one leads to. Then this
        -- repeats the question for the pairs, or for the rarer.
        within := CASE
            WHEN (top - bottom + 1) * CASE WHEN pairs IS NULL THEN 400::float8 WHEN size = 0 THEN 16 ELSE 6 END
                > CASE WHEN pairs IS NULL THEN least(of_both, 2000 * of_either) ELSE citations END
                    * (1 - (top - bottom + 1)::float8 / (highest - lowest + 1)) THEN coalesce(pairs, rarer)
            ELSE ARRAY(SELECT -1 - (b << 1 | size) FROM pg_catalog.generate_series(bottom >> 4 * size, top >> 4 * size) b)
        END;
        RETURN QUERY
        SELECT hit.pmid::bigint * 100000 + hit.ordinal, hit.pmid,
               pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char),
               hit.drug_starts, hit.drug_ends, hit.condition_starts, hit.condition_ends, hit.score,
               x.label, extract(year FROM c.published_on)::integer, pg_catalog.substr(c.text, 1, c.title_length),
               coalesce(c.journal ->> 'title', c.journal ->> 'abbreviation'), c.publication_types
        FROM (
            SELECT pair_in.*
            FROM (
                SELECT m.pmid, u.ordinal,
                       array_agg(u.start_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (drugs)) AS drug_starts,
                       array_agg(u.end_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (drugs)) AS drug_ends,
                       array_agg(u.start_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (conditions)) AS condition_starts,
                       array_agg(u.end_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (conditions)) AS condition_ends,
                       least(max(u.score) FILTER (WHERE u.name_id = ANY (drugs)),
                             max(u.score) FILTER (WHERE u.name_id = ANY (conditions))) AS score
                FROM (
                    SELECT k.*
                    FROM comention.citation_mentions k
                    WHERE comention.pair_keys(k.pmid, k.sentence_ordinals, k.name_ids) && pairs
                      AND comention.pair_keys(k.pmid, k.sentence_ordinals, k.name_ids) && within
                      -- Who has a number of a pair by chance hardly has names of both, which is quicker seen than in single mentions.
                      AND k.name_ids && drugs AND k.name_ids && conditions
                      AND pairs IS NOT NULL
                    UNION ALL
                    SELECT k.*
                    FROM comention.citation_mentions k
                    WHERE comention.mention_keys(k.pmid, k.name_ids) && drugs
                      AND comention.mention_keys(k.pmid, k.name_ids) && conditions
                      AND comention.mention_keys(k.pmid, k.name_ids) && within
                      AND pairs IS NULL
                ) m
                CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores)
                    AS u (ordinal, start_char, end_char, name_id, score)
                WHERE m.annotator_id = a
                  AND m.pmid >> 12 BETWEEN bottom AND top
                  AND m.pmid <= before_pmid
                  AND (u.name_id = ANY (drugs) OR u.name_id = ANY (conditions))
                  AND ($8 IS NULL OR u.score >= $8)
                  AND ($9 IS NULL OR m.pmid::bigint * 100000 + u.ordinal < $9)
                  AND ($6 IS NULL OR EXISTS (
                      SELECT FROM comention.sentence r
                      JOIN comention.section q ON q.pmid = r.pmid AND q.ordinal = r.section_ordinal
                      WHERE r.pmid = m.pmid AND r.ordinal = u.ordinal
                        AND pg_catalog.upper($6) IN (pg_catalog.upper(q.label), q.category)))
                GROUP BY m.pmid, u.ordinal
                HAVING bool_or(u.name_id = ANY (drugs)) AND bool_or(u.name_id = ANY (conditions))
                ORDER BY m.pmid DESC, u.ordinal DESC
            ) pair_in
            JOIN comention.citation e ON e.pmid = pair_in.pmid
            WHERE NOT e.retracted
              AND ($4 IS NULL OR extract(year FROM e.published_on) >= $4)
              AND ($5 IS NULL OR extract(year FROM e.published_on) <= $5)
              AND ($7 IS NULL OR $7 = ANY (e.publication_types))
            ORDER BY pair_in.pmid DESC, pair_in.ordinal DESC
            LIMIT missing
        ) hit
        JOIN comention.citation c ON c.pmid = hit.pmid
        JOIN comention.sentence s ON s.pmid = hit.pmid AND s.ordinal = hit.ordinal
        JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
        ORDER BY hit.pmid DESC, hit.ordinal DESC;
        GET DIAGNOSTICS got = ROW_COUNT;
        missing := missing - got;
        found := found + got;
        read_blocks := read_blocks + top - bottom + 1;
        top := bottom - 1;
        blocks := CASE
            WHEN found = 0 THEN 4 * blocks
            ELSE least(4 * read_blocks, greatest(1, ceil(1.25 * missing * read_blocks / found)))
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION analysis.evidence(text, text, integer, integer, integer, text, text, real, bigint) IS
    'The sentences that mention a drug and a condition, by any spelling or CURIE, highest PMID first, with all spans of the two in each: starts and ends go in step and count code points of the sentence from 0. score is the lower of the two best; the next page comes with the last sentence_id as before_sentence_id';

-- Sentences by their words, highest PMID first: the newest blocks of PMIDs, then as many as should hold what is missing. To read
-- more than that costs most where a phrase is asked for, for each sentence that has its words must be looked at. The blocks are
-- a condition of their own, beside the words: so the index leaps over what lies outside of either.
CREATE FUNCTION analysis.search_sentences(
    query text, max_rows integer DEFAULT 20, from_year integer DEFAULT NULL, to_year integer DEFAULT NULL,
    section text DEFAULT NULL, publication_type text DEFAULT NULL, before_sentence_id bigint DEFAULT NULL
)
RETURNS TABLE (
    sentence_id bigint, pmid integer, text text, section_label text, year integer, title text, journal text, retracted boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT tsquery := websearch_to_tsquery('pg_catalog.english', $1);
    pairs integer[];
    words tsquery;
    before_pmid CONSTANT integer := coalesce($7 / 100000, 2147483647);
    filtered CONSTANT boolean := $3 IS NOT NULL OR $4 IS NOT NULL OR $5 IS NOT NULL OR $6 IS NOT NULL;
    highest integer;
    lowest integer;
    top integer;
    bottom integer;
    -- Blocks of 1,024 PMIDs that are read next; the keys of those, or of the blocks of the next size that they lie in.
    blocks integer;
    size integer;
    within integer[];
    missing integer := $2;
    got integer;
    found integer := 0;
    read_blocks integer := 0;
BEGIN
    IF numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    SELECT p.pairs, p.words INTO pairs, words FROM comention.read_phrases(wanted) p;
    -- A phrase is rarer than a word, and what is not in the first blocks is far more seldom than once in those.
    blocks := CASE WHEN pairs IS NULL THEN 1 ELSE 16 END;
    SELECT max(t.pmid) >> 10, min(t.pmid) >> 10 INTO highest, lowest FROM comention.sentence_text t;
    top := least(highest, before_pmid >> 10);
    WHILE missing > 0 AND top >= lowest LOOP
        IF blocks > 4096 OR blocks > (highest - lowest) / 2 THEN
            bottom := lowest;
            within := NULL;
        ELSE
            size := CASE WHEN blocks <= 16 THEN 0 WHEN blocks <= 256 THEN 1 ELSE 2 END;
            bottom := greatest(lowest, (top - blocks + 1) >> 4 * size << 4 * size);
            within := ARRAY(
                SELECT b << 2 | size FROM pg_catalog.generate_series(bottom >> 4 * size, top >> 4 * size) b
            );
        END IF;
        RETURN QUERY
        SELECT t.pmid::bigint * 100000 + t.ordinal, t.pmid,
               pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char),
               x.label, extract(year FROM c.published_on)::integer, pg_catalog.substr(c.text, 1, c.title_length),
               coalesce(c.journal ->> 'title', c.journal ->> 'abbreviation'), c.retracted
        FROM (
            -- Only the last are looked up further, unless what they are asked for stands elsewhere.
            SELECT f.pmid, f.ordinal
            FROM (
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE o.document @@ wanted AND comention.search_blocks(o.pmid) && within
                  AND within IS NOT NULL AND pairs IS NULL
                UNION ALL
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE o.document @@ wanted AND within IS NULL AND pairs IS NULL
                UNION ALL
                -- A call in place of the operator keeps the phrase away from the index, which would check all its conditions again.
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE comention.word_pairs(o.document) @> pairs AND pg_catalog.ts_match_vq(o.document, wanted)
                  AND comention.search_blocks(o.pmid) && within AND within IS NOT NULL AND pairs IS NOT NULL AND words IS NULL
                UNION ALL
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE comention.word_pairs(o.document) @> pairs AND pg_catalog.ts_match_vq(o.document, wanted)
                  AND within IS NULL AND pairs IS NOT NULL AND words IS NULL
                UNION ALL
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE comention.word_pairs(o.document) @> pairs AND o.document @@ words AND pg_catalog.ts_match_vq(o.document, wanted)
                  AND comention.search_blocks(o.pmid) && within AND within IS NOT NULL AND pairs IS NOT NULL AND words IS NOT NULL
                UNION ALL
                SELECT o.pmid, o.ordinal
                FROM comention.sentence_text o
                WHERE comention.word_pairs(o.document) @> pairs AND o.document @@ words AND pg_catalog.ts_match_vq(o.document, wanted)
                  AND within IS NULL AND pairs IS NOT NULL AND words IS NOT NULL
            ) f
            WHERE f.pmid >> 10 BETWEEN bottom AND top
              AND ($7 IS NULL OR f.pmid::bigint * 100000 + f.ordinal < $7)
            ORDER BY f.pmid DESC, f.ordinal DESC
            LIMIT CASE WHEN NOT filtered THEN missing END
        ) t
        JOIN comention.citation c ON c.pmid = t.pmid
        JOIN comention.sentence s ON s.pmid = t.pmid AND s.ordinal = t.ordinal
        JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
        WHERE ($3 IS NULL OR extract(year FROM c.published_on) >= $3)
          AND ($4 IS NULL OR extract(year FROM c.published_on) <= $4)
          AND ($5 IS NULL OR pg_catalog.upper($5) IN (pg_catalog.upper(x.label), x.category))
          AND ($6 IS NULL OR $6 = ANY (c.publication_types))
        ORDER BY t.pmid DESC, t.ordinal DESC
        LIMIT missing;
        GET DIAGNOSTICS got = ROW_COUNT;
        missing := missing - got;
        -- Half as many again as should hold what is missing, as if it were spread evenly.
        read_blocks := read_blocks + top - bottom + 1;
        found := found + got;
        blocks := CASE WHEN found = 0 THEN 64 * blocks ELSE ceil(1.5 * missing * read_blocks / found) END;
        -- A rare phrase has a list of its own, shorter than those of many blocks.
        IF pairs IS NOT NULL AND blocks > 256 THEN
            blocks := highest - lowest + 1;
        END IF;
        top := bottom - 1;
    END LOOP;
END
$$;
COMMENT ON FUNCTION analysis.search_sentences(text, integer, integer, integer, text, text, bigint) IS
    'Sentences that match a full-text query as web search engines take it (words, "a phrase", or, -not), highest PMID first; the next page comes with the last sentence_id as before_sentence_id. What was stored since the last indexing is not found yet: analysis.search_backlog() says how much';

CREATE FUNCTION analysis.search_backlog() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT count(*) FROM comention.unindexed_citation
$$;
COMMENT ON FUNCTION analysis.search_backlog() IS 'Citations that full-text search does not find yet';

-- Concepts that have a name with a beginning, typed or folded, some perhaps several times; of a beginning that many names have,
-- only the most cited. Their ranks are gone through until enough are among the concepts that have it, or, where thousands of names
-- have it, until enough of the ten thousand most cited have it. Ranks are those of the folded totals: three more come than are shown,
-- and all that tie, for what is not folded yet may move some, and keys decide among equals; what only deltas know comes when they
-- are folded. Names and ranks are read from their indexes alone, which for the totals of single cells would be a mistake.
CREATE FUNCTION comention.concepts_beginning(
    a smallint, typed text, folded text, drug_label integer, condition_label integer, max_rows integer,
    OUT drugs integer[], OUT conditions integer[]
)
LANGUAGE plpgsql STABLE SET search_path = '' SET plan_cache_mode = force_generic_plan SET enable_bitmapscan = off
SET enable_indexonlyscan = on AS $$
DECLARE
    last CONSTANT text := pg_catalog.chr(1114111);
    wanted CONSTANT bigint := max_rows::bigint + 3;
    names integer;
    top integer[];
BEGIN
    SELECT array_agg(f.concept_id) FILTER (WHERE f.label_id = drug_label),
           array_agg(f.concept_id) FILTER (WHERE f.label_id = condition_label), count(*)
    INTO drugs, conditions, names FROM (
        -- As a range of bytes, for a plan that does not know the pattern would look for its trigrams.
        (SELECT n.concept_id, n.label_id FROM comention.name n
         WHERE n.text ~>=~ typed AND n.text ~<~ (typed || last) AND n.label_id IN (drug_label, condition_label) LIMIT 1500)
        UNION ALL
        (SELECT n.concept_id, n.label_id FROM comention.name n
         WHERE n.text ~>=~ folded AND n.text ~<~ (folded || last) AND folded <> typed
           AND n.label_id IN (drug_label, condition_label) LIMIT 1500)
    ) f;
    IF names >= 1500 THEN
        -- Perhaps not all were read, and perhaps those of one label alone.
        top := ARRAY(
            SELECT t.drug_id
            FROM (SELECT x.drug_id, x.citation_count, x.sentence_count FROM comention.cooccurrence_total x
                  WHERE x.annotator_id = a AND x.condition_id = 0 AND x.drug_id > 0 AND drug_label IS NOT NULL
                  ORDER BY x.citation_count DESC, x.sentence_count DESC LIMIT 10000) t
            WHERE EXISTS (SELECT FROM comention.name n WHERE n.concept_id = t.drug_id AND (
                          pg_catalog.starts_with(n.text, typed) OR pg_catalog.starts_with(n.text, folded)))
            ORDER BY t.citation_count DESC, t.sentence_count DESC FETCH FIRST (wanted) ROWS WITH TIES);
        drugs := CASE WHEN cardinality(top) >= wanted THEN top ELSE top || drugs END;
        top := ARRAY(
            SELECT t.condition_id
            FROM (SELECT x.condition_id, x.citation_count, x.sentence_count FROM comention.cooccurrence_total x
                  WHERE x.annotator_id = a AND x.drug_id = 0 AND x.condition_id > 0 AND condition_label IS NOT NULL
                  ORDER BY x.citation_count DESC, x.sentence_count DESC LIMIT 10000) t
            WHERE EXISTS (SELECT FROM comention.name n WHERE n.concept_id = t.condition_id AND (
                          pg_catalog.starts_with(n.text, typed) OR pg_catalog.starts_with(n.text, folded)))
            ORDER BY t.citation_count DESC, t.sentence_count DESC FETCH FIRST (wanted) ROWS WITH TIES);
        conditions := CASE WHEN cardinality(top) >= wanted THEN top ELSE top || conditions END;
        RETURN;
    END IF;
    -- No more ranks than take as long as to look up the totals of all. IS TRUE keeps the planner from a join.
    IF cardinality(drugs) >= 50 THEN
        top := ARRAY(
            SELECT t.drug_id
            FROM (SELECT x.drug_id, x.citation_count, x.sentence_count FROM comention.cooccurrence_total x
                  WHERE x.annotator_id = a AND x.condition_id = 0 AND x.drug_id > 0
                  ORDER BY x.citation_count DESC, x.sentence_count DESC
                  FETCH FIRST (20 * cardinality(drugs)) ROWS WITH TIES) t
            WHERE (t.drug_id IN (SELECT u.id FROM pg_catalog.unnest(drugs) u (id))) IS TRUE
            ORDER BY t.citation_count DESC, t.sentence_count DESC FETCH FIRST (wanted) ROWS WITH TIES);
        drugs := CASE WHEN cardinality(top) >= wanted THEN top ELSE drugs END;
    END IF;
    IF cardinality(conditions) >= 50 THEN
        top := ARRAY(
            SELECT t.condition_id
            FROM (SELECT x.condition_id, x.citation_count, x.sentence_count FROM comention.cooccurrence_total x
                  WHERE x.annotator_id = a AND x.drug_id = 0 AND x.condition_id > 0
                  ORDER BY x.citation_count DESC, x.sentence_count DESC
                  FETCH FIRST (20 * cardinality(conditions)) ROWS WITH TIES) t
            WHERE (t.condition_id IN (SELECT u.id FROM pg_catalog.unnest(conditions) u (id))) IS TRUE
            ORDER BY t.citation_count DESC, t.sentence_count DESC FETCH FIRST (wanted) ROWS WITH TIES);
        conditions := CASE WHEN cardinality(top) >= wanted THEN top ELSE conditions END;
    END IF;
END
$$;

-- Concepts whose names begin with what was typed; where there are none, those whose names resemble it. The folded totals say which may
-- be shown, three more than are; the counts of what is shown are exact.
CREATE FUNCTION analysis.suggest(prefix text, max_rows integer DEFAULT 10, of_label text DEFAULT NULL)
RETURNS TABLE (label text, concept text, preferred_name text, name text, sentence_count bigint, citation_count bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET jit = off SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_indexonlyscan = off AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    typed CONSTANT text := pg_catalog.lower(pg_catalog.btrim(prefix));
    folded CONSTANT text := analysis.normalise_name(typed);
    pattern CONSTANT text := pg_catalog.regexp_replace(typed, '([%_\\])', '\\\1', 'g') || '%';
    folded_pattern CONSTANT text := pg_catalog.regexp_replace(folded, '([%_\\])', '\\\1', 'g') || '%';
    drug_label CONSTANT integer := CASE WHEN coalesce(of_label, 'Drug') = 'Drug' THEN (
        SELECT l.id FROM comention.label l WHERE l.name = 'Drug') END;
    condition_label CONSTANT integer := CASE WHEN coalesce(of_label, 'Condition') = 'Condition' THEN (
        SELECT l.id FROM comention.label l WHERE l.name = 'Condition') END;
    -- Concepts that may be shown, some perhaps several times.
    drugs integer[];
    conditions integer[];
    got integer;
BEGIN
    IF typed = '' THEN
        RETURN;
    END IF;
    SELECT b.drugs, b.conditions INTO drugs, conditions
    FROM comention.concepts_beginning(a, typed, folded, drug_label, condition_label, max_rows) b;
    FOR attempt IN 1..2 LOOP
        RETURN QUERY
        WITH likely AS MATERIALIZED (
            SELECT DISTINCT u.id AS drug_id, 0 AS condition_id FROM unnest(drugs) u (id)
            UNION ALL
            SELECT DISTINCT 0, u.id FROM unnest(conditions) u (id)
        ), first AS (
            -- Deltas are read of few: while much is written, a frequent name has hundreds, and as many that have just been folded.
            SELECT w.drug_id, w.condition_id, t.sentence_count AS n, t.citation_count AS c
            FROM likely w
            LEFT JOIN comention.cooccurrence_total t
                ON t.annotator_id = a AND t.drug_id = w.drug_id AND t.condition_id = w.condition_id
                   AND (t.drug_id = 0 OR t.condition_id = 0)
            ORDER BY CASE attempt WHEN 1 THEN t.citation_count END DESC NULLS LAST,
                     CASE attempt WHEN 1 THEN t.sentence_count END DESC NULLS LAST
            FETCH FIRST (max_rows::bigint + 3) ROWS WITH TIES
        ), shown AS (
            SELECT m.drug_id, m.condition_id, coalesce(m.n, 0) + x.n AS n, coalesce(m.c, 0) + x.c AS c
            FROM first m
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(x.sentence_count), 0)::bigint AS n, coalesce(sum(x.citation_count), 0)::bigint AS c
                FROM comention.cooccurrence_delta x
                WHERE x.annotator_id = a AND x.drug_id = m.drug_id AND x.condition_id = m.condition_id
            ) x
            WHERE coalesce(m.n, 0) + x.n > 0
            -- All that tie with the last come too, for keys are what decides among those; of what resembles it, all come.
            ORDER BY CASE attempt WHEN 1 THEN coalesce(m.c, 0) + x.c END DESC, CASE attempt WHEN 1 THEN coalesce(m.n, 0) + x.n END DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        )
        SELECT CASE WHEN s.drug_id > 0 THEN 'Drug' ELSE 'Condition' END, k.key, k.preferred_name,
               (SELECT n.text FROM comention.name n WHERE n.concept_id = k.id
                ORDER BY n.text LIKE pattern DESC, n.text LIKE folded_pattern DESC,
                         CASE attempt WHEN 2 THEN similarity(n.text, folded) END DESC, length(n.text), n.text LIMIT 1),
               s.n, s.c
        FROM shown s
        JOIN comention.concept k ON k.id = s.drug_id + s.condition_id
        ORDER BY CASE attempt WHEN 2 THEN (
                     SELECT max(similarity(n.text, folded)) FROM comention.name n WHERE n.concept_id = k.id) END DESC NULLS LAST,
                 s.c DESC, s.n DESC, k.key
        LIMIT max_rows;
        GET DIAGNOSTICS got = ROW_COUNT;
        EXIT WHEN got > 0 OR pg_catalog.length(folded) < 3;
        -- A slip of the finger: names that share enough of their trigrams.
        SELECT array_agg(near.concept_id) FILTER (WHERE near.label_id = drug_label),
               array_agg(near.concept_id) FILTER (WHERE near.label_id = condition_label)
        INTO drugs, conditions FROM (
            SELECT n.concept_id, n.label_id FROM comention.name n
            WHERE n.text % folded AND n.label_id IN (drug_label, condition_label)
            ORDER BY similarity(n.text, folded) DESC LIMIT 50
        ) near;
    END LOOP;
END
$$;
COMMENT ON FUNCTION analysis.suggest(text, integer, text) IS
    'Drugs and conditions whose names begin with what was typed, the most cited first; where there are none, those whose names resemble it. of_label: Drug or Condition only. name is the spelling that matches best';
