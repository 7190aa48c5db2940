-- What is asked most, answered in milliseconds. These functions run as their owner, with one plan for all arguments: planning
-- would take longer than reading. The private schema stays closed to those who call them.
-- Such a plan is made for a drug of average frequency, and some drugs are a thousand times as frequent. So the functions rule
-- out what is good on average only: to sort all partners of a drug instead of reading the first ones in their order; to look
-- a cell up by walking over all partners in an index of a ranking, because that one needs no visit to the table; to read the
-- deltas from end to end, because there were none when the plan was made.

-- The partners of a drug, of a condition, or all pairs, that stand in most citations: folded totals in the order of
-- their index, and beside them the cells that deltas have moved since; each cell comes from one of the two.
CREATE FUNCTION comention.rank_pairs(a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint)
LANGUAGE plpgsql STABLE SET search_path = '' SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_indexonlyscan = on AS $$
#variable_conflict use_column
BEGIN
    IF of_drug IS NOT NULL AND of_condition IS NOT NULL THEN
        RETURN QUERY
        SELECT of_drug, of_condition, sum(p.sentence_count)::bigint, sum(p.citation_count)::bigint
        FROM comention.cooccurrence_total_part p
        WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id = of_condition
        HAVING sum(p.sentence_count) >= greatest(min_sentences, 1);
    ELSIF of_drug IS NOT NULL THEN
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.condition_id, sum(x.sentence_count) AS s, sum(x.citation_count) AS c
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.drug_id = of_drug AND x.condition_id > 0
            GROUP BY x.condition_id
        )
        (SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count
         FROM comention.cooccurrence_total t
         WHERE t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id > 0 AND t.sentence_count >= min_sentences
           AND t.condition_id NOT IN (SELECT m.condition_id FROM moved m)
         ORDER BY t.citation_count DESC, t.sentence_count DESC, t.condition_id
         LIMIT max_rows)
        UNION ALL
        SELECT of_drug, m.condition_id, (m.s + coalesce(t.sentence_count, 0))::bigint,
               (m.c + coalesce(t.citation_count, 0))::bigint
        FROM moved m
        LEFT JOIN comention.cooccurrence_total t
            ON t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id = m.condition_id
        WHERE m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
        ORDER BY 4 DESC, 3 DESC, 2
        LIMIT max_rows;
    ELSIF of_condition IS NOT NULL THEN
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.drug_id, sum(x.sentence_count) AS s, sum(x.citation_count) AS c
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.condition_id = of_condition AND x.drug_id > 0
            GROUP BY x.drug_id
        )
        (SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count
         FROM comention.cooccurrence_total t
         WHERE t.annotator_id = a AND t.condition_id = of_condition AND t.drug_id > 0 AND t.sentence_count >= min_sentences
           AND t.drug_id NOT IN (SELECT m.drug_id FROM moved m)
         ORDER BY t.citation_count DESC, t.sentence_count DESC, t.drug_id
         LIMIT max_rows)
        UNION ALL
        SELECT m.drug_id, of_condition, (m.s + coalesce(t.sentence_count, 0))::bigint,
               (m.c + coalesce(t.citation_count, 0))::bigint
        FROM moved m
        LEFT JOIN comention.cooccurrence_total t
            ON t.annotator_id = a AND t.drug_id = m.drug_id AND t.condition_id = of_condition
        WHERE m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
        ORDER BY 4 DESC, 3 DESC, 1
        LIMIT max_rows;
    ELSE
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.drug_id, x.condition_id, sum(x.sentence_count) AS s, sum(x.citation_count) AS c
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.condition_id > 0 AND x.drug_id > 0
            GROUP BY x.drug_id, x.condition_id
        )
        (SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count
         FROM comention.cooccurrence_total t
         WHERE t.annotator_id = a AND t.drug_id > 0 AND t.condition_id > 0 AND t.sentence_count >= min_sentences
           AND (t.drug_id, t.condition_id) NOT IN (SELECT m.drug_id, m.condition_id FROM moved m)
         ORDER BY t.citation_count DESC, t.sentence_count DESC
         LIMIT max_rows)
        UNION ALL
        SELECT m.drug_id, m.condition_id, (m.s + coalesce(t.sentence_count, 0))::bigint,
               (m.c + coalesce(t.citation_count, 0))::bigint
        FROM moved m
        LEFT JOIN comention.cooccurrence_total t
            ON t.annotator_id = a AND t.drug_id = m.drug_id AND t.condition_id = m.condition_id
        WHERE m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
        ORDER BY 4 DESC, 3 DESC
        LIMIT max_rows;
    END IF;
END
$$;

-- The same between two years, from the counts per year.
CREATE FUNCTION comention.rank_pairs_of_years(
    a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer
)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT p.drug_id, p.condition_id, sum(p.sentence_count)::bigint, sum(p.citation_count)::bigint
    FROM comention.cooccurrence_part p
    WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id > 0 AND of_condition IS NULL
      AND p.year BETWEEN from_year AND to_year
    GROUP BY p.drug_id, p.condition_id
    HAVING sum(p.sentence_count) >= greatest(min_sentences, 1)
    UNION ALL
    SELECT p.drug_id, p.condition_id, sum(p.sentence_count)::bigint, sum(p.citation_count)::bigint
    FROM (
        SELECT t.drug_id AS partner FROM comention.cooccurrence_total_part t
        WHERE t.annotator_id = a AND t.condition_id = of_condition AND of_drug IS NULL AND t.drug_id > 0
        UNION SELECT of_drug WHERE of_drug IS NOT NULL AND of_condition IS NOT NULL
    ) w
    JOIN comention.cooccurrence_part p
        ON p.annotator_id = a AND p.drug_id = w.partner AND p.condition_id = of_condition
       AND p.year BETWEEN from_year AND to_year
    GROUP BY p.drug_id, p.condition_id
    HAVING sum(p.sentence_count) >= greatest(min_sentences, 1)
    ORDER BY 4 DESC, 3 DESC, 1, 2
    LIMIT max_rows
$$;

-- The same where only some mentions are wanted: read from the mentions of the citations that have the drug or condition.
CREATE FUNCTION comention.rank_pairs_of_mentions(
    a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer,
    in_section text, of_type text, min_score real
)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    WITH wanted AS MATERIALIZED (
        SELECT array_agg(n.id) FILTER (WHERE n.concept_id = of_drug) AS drugs,
               array_agg(n.id) FILTER (WHERE n.concept_id = of_condition) AS conditions
        FROM comention.name n
        WHERE n.concept_id IN (of_drug, of_condition)
    ), hit AS MATERIALIZED (
        SELECT DISTINCT m.pmid, u.ordinal, n.concept_id, l.name AS label
        FROM wanted w
        JOIN comention.citation_mentions m
            ON comention.mention_keys(m.pmid, m.name_ids) && coalesce(w.drugs, w.conditions)
        JOIN comention.citation c ON c.pmid = m.pmid
        CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.name_ids, m.scores) AS u (ordinal, name_id, score)
        JOIN comention.name n ON n.id = u.name_id
        JOIN comention.label l ON l.id = n.label_id
        WHERE m.annotator_id = a AND NOT c.retracted
          AND (min_score IS NULL OR u.score >= min_score)
          AND (of_type IS NULL OR of_type = ANY (c.publication_types))
          AND (from_year IS NULL OR extract(year FROM c.published_on) BETWEEN from_year AND to_year)
          AND (in_section IS NULL OR EXISTS (
              SELECT FROM comention.sentence s
              JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
              WHERE s.pmid = m.pmid AND s.ordinal = u.ordinal AND upper(in_section) IN (upper(x.label), x.category)))
    )
    SELECT d.concept_id, k.concept_id, count(*), count(DISTINCT d.pmid)
    FROM hit d
    JOIN hit k ON k.pmid = d.pmid AND k.ordinal = d.ordinal AND k.label = 'Condition'
    WHERE d.label = 'Drug'
      AND (of_drug IS NULL OR d.concept_id = of_drug) AND (of_condition IS NULL OR k.concept_id = of_condition)
    GROUP BY d.concept_id, k.concept_id
    HAVING count(*) >= min_sentences
    ORDER BY 4 DESC, 3 DESC, 1, 2
    LIMIT max_rows
$$;

-- Pairs with everything that analysis.cooccurrence says of them. Filters by section, publication type or score leave the
-- statistics null: what drug and condition have on their own under such a filter is not counted.
CREATE FUNCTION comention.list_pairs(
    of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer,
    in_section text, of_type text, min_score real
)
RETURNS SETOF analysis.cooccurrence
LANGUAGE plpgsql STABLE SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_indexonlyscan = off AS $$
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    by_mention CONSTANT boolean := in_section IS NOT NULL OR of_type IS NOT NULL OR min_score IS NOT NULL;
    first_of CONSTANT integer := CASE WHEN from_year IS NOT NULL OR to_year IS NOT NULL THEN coalesce(from_year, 1) END;
    last_of CONSTANT integer := CASE WHEN from_year IS NOT NULL OR to_year IS NOT NULL THEN coalesce(to_year, 32767) END;
    drugs integer[];
    conditions integer[];
    sentences bigint[];
    citations bigint[];
BEGIN
    IF by_mention THEN
        SELECT array_agg(r.drug_id), array_agg(r.condition_id), array_agg(r.sentence_count), array_agg(r.citation_count)
        INTO drugs, conditions, sentences, citations
        FROM comention.rank_pairs_of_mentions(a, of_drug, of_condition, max_rows, min_sentences, first_of, last_of,
                                              in_section, of_type, min_score) r;
    ELSIF first_of IS NOT NULL THEN
        SELECT array_agg(r.drug_id), array_agg(r.condition_id), array_agg(r.sentence_count), array_agg(r.citation_count)
        INTO drugs, conditions, sentences, citations
        FROM comention.rank_pairs_of_years(a, of_drug, of_condition, max_rows, min_sentences, first_of, last_of) r;
    ELSE
        SELECT array_agg(r.drug_id), array_agg(r.condition_id), array_agg(r.sentence_count), array_agg(r.citation_count)
        INTO drugs, conditions, sentences, citations
        FROM comention.rank_pairs(a, of_drug, of_condition, max_rows, min_sentences) r;
    END IF;
    RETURN QUERY
    WITH found AS MATERIALIZED (
        SELECT r.drug_id, r.condition_id, r.s, r.c, d.key AS drug, k.key AS condition
        FROM unnest(drugs, conditions, sentences, citations) AS r (drug_id, condition_id, s, c)
        JOIN comention.concept d ON d.id = r.drug_id
        JOIN comention.concept k ON k.id = r.condition_id
    ), edge AS MATERIALIZED (
        -- The margins of all that was found, in one reading: a call for each would take longer than the reading.
        SELECT w.drug_id, w.condition_id, t.sentence_count, t.citation_count
        FROM (
            SELECT any_drug.id AS drug_id, o.id AS condition_id
            FROM unnest('{0,-1}'::integer[]) any_drug (id) CROSS JOIN unnest('{0,-1}'::integer[] || conditions) o (id)
            UNION
            SELECT o.id, any_condition.id
            FROM unnest('{0,-1}'::integer[]) any_condition (id) CROSS JOIN unnest(drugs) o (id)
        ) w
        CROSS JOIN LATERAL (
            SELECT p.sentence_count, p.citation_count FROM comention.cooccurrence_total_part p
            WHERE first_of IS NULL AND p.annotator_id = a AND p.drug_id = w.drug_id AND p.condition_id = w.condition_id
            UNION ALL
            SELECT p.sentence_count, p.citation_count FROM comention.cooccurrence_part p
            WHERE first_of IS NOT NULL AND p.annotator_id = a AND p.drug_id = w.drug_id AND p.condition_id = w.condition_id
              AND p.year BETWEEN first_of AND last_of
        ) t
        WHERE NOT by_mention
    ), x AS (
        SELECT e.drug_id, sum(e.sentence_count) FILTER (WHERE e.condition_id = 0)::bigint AS n,
               sum(e.citation_count) FILTER (WHERE e.condition_id = 0)::bigint AS c,
               sum(e.citation_count) FILTER (WHERE e.condition_id = -1)::bigint AS w
        FROM edge e
        WHERE e.drug_id > 0
        GROUP BY e.drug_id
    ), y AS (
        SELECT e.condition_id, sum(e.sentence_count) FILTER (WHERE e.drug_id = 0)::bigint AS n,
               sum(e.citation_count) FILTER (WHERE e.drug_id = 0)::bigint AS c,
               sum(e.citation_count) FILTER (WHERE e.drug_id = -1)::bigint AS w
        FROM edge e
        WHERE e.condition_id > 0
        GROUP BY e.condition_id
    ), z AS (
        SELECT sum(e.sentence_count) FILTER (WHERE e.drug_id = 0 AND e.condition_id = 0)::bigint AS n,
               sum(e.citation_count) FILTER (WHERE e.drug_id = 0 AND e.condition_id = 0)::bigint AS c,
               sum(e.citation_count) FILTER (WHERE e.drug_id = -1 AND e.condition_id = -1)::bigint AS w
        FROM edge e
        WHERE e.drug_id <= 0 AND e.condition_id <= 0
    )
    SELECT p.*
    FROM found f
    LEFT JOIN x ON x.drug_id = f.drug_id
    LEFT JOIN y ON y.condition_id = f.condition_id
    LEFT JOIN z ON true
    -- Where no delta has moved a pair since the last folding, its first and last year stand at the ends of its index.
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM comention.cooccurrence_delta v
            WHERE v.annotator_id = a AND v.drug_id = f.drug_id AND v.condition_id = f.condition_id
        ) AS moved OFFSET 0
    ) since
    CROSS JOIN LATERAL (
        SELECT min(end_year.year) AS first_year, max(end_year.year) AS last_year
        FROM (
            (SELECT v.year::integer AS year FROM comention.cooccurrence_count v
             WHERE NOT since.moved AND v.annotator_id = a AND v.drug_id = f.drug_id AND v.condition_id = f.condition_id
               AND v.year BETWEEN coalesce(first_of, 1) AND coalesce(last_of, 32767)
             ORDER BY v.year LIMIT 1)
            UNION ALL
            (SELECT v.year::integer FROM comention.cooccurrence_count v
             WHERE NOT since.moved AND v.annotator_id = a AND v.drug_id = f.drug_id AND v.condition_id = f.condition_id
               AND v.year BETWEEN coalesce(first_of, 1) AND coalesce(last_of, 32767)
             ORDER BY v.year DESC LIMIT 1)
            UNION ALL
            (SELECT v.year::integer FROM comention.cooccurrence_part v
             WHERE since.moved AND v.annotator_id = a AND v.drug_id = f.drug_id AND v.condition_id = f.condition_id
               AND v.year BETWEEN coalesce(first_of, 1) AND coalesce(last_of, 32767)
             GROUP BY v.year
             HAVING sum(v.sentence_count) <> 0 OR sum(v.citation_count) <> 0)
        ) end_year
    ) years
    CROSS JOIN LATERAL comention.associate(
        f.drug, f.condition, f.s, f.c, years.first_year, years.last_year,
        x.n, y.n, z.n, x.c, y.c, z.c, x.w, y.w, z.w
    ) p
    ORDER BY p.citation_count DESC, p.sentence_count DESC, p.drug, p.condition;
END
$$;

CREATE FUNCTION analysis.top_conditions(
    drug text, max_rows integer DEFAULT 20, min_sentences bigint DEFAULT 1, from_year integer DEFAULT NULL,
    to_year integer DEFAULT NULL, section text DEFAULT NULL, publication_type text DEFAULT NULL, min_score real DEFAULT NULL
)
RETURNS SETOF analysis.cooccurrence
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT p.*
    FROM (SELECT comention.find_concept('Drug', $1) AS id OFFSET 0) found
    CROSS JOIN LATERAL comention.list_pairs(found.id, NULL, $2, $3, $4, $5, $6, $7, $8) p
    WHERE found.id IS NOT NULL
$$;
COMMENT ON FUNCTION analysis.top_conditions(text, integer, bigint, integer, integer, text, text, real) IS
    'The conditions that stand in most citations with a drug, given by any spelling or CURIE, with all that analysis.cooccurrence says. Between years the statistics are of those years, and cooccurrence_score is null; with section (a label or NLM''s category), publication_type or min_score they are null';

CREATE FUNCTION analysis.top_drugs(
    condition text, max_rows integer DEFAULT 20, min_sentences bigint DEFAULT 1, from_year integer DEFAULT NULL,
    to_year integer DEFAULT NULL, section text DEFAULT NULL, publication_type text DEFAULT NULL, min_score real DEFAULT NULL
)
RETURNS SETOF analysis.cooccurrence
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT p.*
    FROM (SELECT comention.find_concept('Condition', $1) AS id OFFSET 0) found
    CROSS JOIN LATERAL comention.list_pairs(NULL, found.id, $2, $3, $4, $5, $6, $7, $8) p
    WHERE found.id IS NOT NULL
$$;
COMMENT ON FUNCTION analysis.top_drugs(text, integer, bigint, integer, integer, text, text, real) IS
    'The drugs that stand in most citations with a condition; otherwise as analysis.top_conditions';

CREATE FUNCTION analysis.top_pairs(max_rows integer DEFAULT 20, min_sentences bigint DEFAULT 1)
RETURNS SETOF analysis.cooccurrence
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT * FROM comention.list_pairs(NULL, NULL, $1, $2, NULL, NULL, NULL, NULL, NULL)
$$;
COMMENT ON FUNCTION analysis.top_pairs(integer, bigint) IS 'The pairs that stand in most citations';

CREATE FUNCTION analysis.pair(
    drug text, condition text, from_year integer DEFAULT NULL, to_year integer DEFAULT NULL, section text DEFAULT NULL,
    publication_type text DEFAULT NULL, min_score real DEFAULT NULL
)
RETURNS SETOF analysis.cooccurrence
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT p.*
    FROM (SELECT comention.find_concept('Drug', $1) AS d, comention.find_concept('Condition', $2) AS c OFFSET 0) found
    CROSS JOIN LATERAL comention.list_pairs(found.d, found.c, 1, 1, $3, $4, $5, $6, $7) p
    WHERE found.d IS NOT NULL AND found.c IS NOT NULL
$$;
COMMENT ON FUNCTION analysis.pair(text, text, integer, integer, text, text, real) IS
    'A drug and a condition, by any spelling or CURIE, with all that analysis.cooccurrence says; filters as in analysis.top_conditions';

-- The newest sentences of a pair. A rare pair is read whole; of a frequent one, so many blocks of PMIDs at a time as should
-- hold enough, from the highest downwards.
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
SET enable_seqscan = off SET enable_indexonlyscan = off AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    of_drug CONSTANT integer := comention.find_concept('Drug', $1);
    of_condition CONSTANT integer := comention.find_concept('Condition', $2);
    drugs CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_drug);
    conditions CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_condition);
    before_pmid CONSTANT integer := coalesce($9 / 100000, 2147483647);
    citations bigint;
    highest integer;
    lowest integer;
    blocks integer;
    top integer;
    bottom integer;
    within integer[];
    missing integer := $3;
    got integer;
BEGIN
    SELECT sum(p.citation_count) INTO citations
    FROM comention.cooccurrence_total_part p
    WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id = of_condition;
    IF coalesce(citations, 0) <= 0 THEN
        RETURN;
    END IF;
    SELECT max(c.pmid) >> 12, min(c.pmid) >> 12 INTO highest, lowest FROM comention.citation c;
    top := least(highest, before_pmid >> 12);
    -- Half as many again as are wanted, as if the pair were spread evenly. To take more would cost more: of two frequent names
    -- that seldom share a sentence, each citation that has both is read through.
    blocks := greatest(1, ceil((highest - lowest + 1) * 1.5 * missing / citations));
    IF blocks >= highest - lowest + 1 THEN
        blocks := highest - lowest + 1;
    END IF;
    WHILE missing > 0 AND top >= lowest LOOP
        bottom := greatest(lowest, top - blocks + 1);
        -- Of blocks without number nothing is asked: then this repeats the question for the drug.
        within := CASE
            WHEN top - bottom > 4096 THEN drugs
            ELSE ARRAY(SELECT -1 - b FROM pg_catalog.generate_series(bottom, top) b)
        END;
        RETURN QUERY
        SELECT hit.pmid::bigint * 100000 + hit.ordinal, hit.pmid,
               pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char),
               hit.drug_starts, hit.drug_ends, hit.condition_starts, hit.condition_ends, hit.score,
               x.label, extract(year FROM c.published_on)::integer, pg_catalog.substr(c.text, 1, c.title_length),
               coalesce(c.journal ->> 'title', c.journal ->> 'abbreviation'), c.publication_types
        FROM (
            SELECT m.pmid, u.ordinal,
                   array_agg(u.start_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (drugs)) AS drug_starts,
                   array_agg(u.end_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (drugs)) AS drug_ends,
                   array_agg(u.start_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (conditions)) AS condition_starts,
                   array_agg(u.end_char ORDER BY u.start_char, u.end_char) FILTER (WHERE u.name_id = ANY (conditions)) AS condition_ends,
                   least(max(u.score) FILTER (WHERE u.name_id = ANY (drugs)),
                         max(u.score) FILTER (WHERE u.name_id = ANY (conditions))) AS score
            FROM comention.citation_mentions m
            JOIN comention.citation e ON e.pmid = m.pmid
            CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores)
                AS u (ordinal, start_char, end_char, name_id, score)
            WHERE comention.mention_keys(m.pmid, m.name_ids) && drugs
              AND comention.mention_keys(m.pmid, m.name_ids) && conditions
              AND comention.mention_keys(m.pmid, m.name_ids) && within
              AND m.annotator_id = a
              AND m.pmid >> 12 BETWEEN bottom AND top
              AND m.pmid <= before_pmid
              AND NOT e.retracted
              AND ($4 IS NULL OR extract(year FROM e.published_on) >= $4)
              AND ($5 IS NULL OR extract(year FROM e.published_on) <= $5)
              AND ($7 IS NULL OR $7 = ANY (e.publication_types))
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
            LIMIT missing
        ) hit
        JOIN comention.citation c ON c.pmid = hit.pmid
        JOIN comention.sentence s ON s.pmid = hit.pmid AND s.ordinal = hit.ordinal
        JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
        ORDER BY hit.pmid DESC, hit.ordinal DESC;
        GET DIAGNOSTICS got = ROW_COUNT;
        missing := missing - got;
        top := bottom - 1;
        blocks := blocks * 4;
    END LOOP;
END
$$;
COMMENT ON FUNCTION analysis.evidence(text, text, integer, integer, integer, text, text, real, bigint) IS
    'The sentences that mention a drug and a condition, by any spelling or CURIE, highest PMID first, with all spans of the two in each: starts and ends go in step and count code points of the sentence from 0. score is the lower of the two best; the next page comes with the last sentence_id as before_sentence_id';

-- Sentences by their words, highest PMID first: the newest blocks of PMIDs, then ever more, then all that is left.
CREATE FUNCTION analysis.search_sentences(
    query text, max_rows integer DEFAULT 20, from_year integer DEFAULT NULL, to_year integer DEFAULT NULL,
    section text DEFAULT NULL, publication_type text DEFAULT NULL, before_sentence_id bigint DEFAULT NULL
)
RETURNS TABLE (
    sentence_id bigint, pmid integer, text text, section_label text, year integer, title text, journal text, retracted boolean
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    wanted CONSTANT tsquery := websearch_to_tsquery('pg_catalog.english', $1);
    before_pmid CONSTANT integer := coalesce($7 / 100000, 2147483647);
    highest integer;
    lowest integer;
    top integer;
    bottom integer;
    blocks integer := 1;
    within tsquery;
    filtered CONSTANT boolean := $3 IS NOT NULL OR $4 IS NOT NULL OR $5 IS NOT NULL OR $6 IS NOT NULL;
    missing integer := $2;
    got integer;
BEGIN
    IF numnode(wanted) = 0 THEN
        RETURN;
    END IF;
    SELECT max(t.pmid) >> 11, min(t.pmid) >> 11 INTO highest, lowest FROM comention.sentence_text t;
    top := least(highest, before_pmid >> 11);
    WHILE missing > 0 AND top >= lowest LOOP
        bottom := greatest(lowest, top - blocks + 1);
        IF blocks > 64 THEN
            bottom := lowest;
            within := wanted;
        ELSE
            SELECT wanted && pg_catalog.string_agg('''#' || b || '''', ' | ')::tsquery INTO within
            FROM pg_catalog.generate_series(bottom, top) b;
        END IF;
        RETURN QUERY
        SELECT t.pmid::bigint * 100000 + t.ordinal, t.pmid, t.text, x.label, extract(year FROM c.published_on)::integer,
               pg_catalog.substr(c.text, 1, c.title_length), coalesce(c.journal ->> 'title', c.journal ->> 'abbreviation'),
               c.retracted
        FROM (
            -- Only the last are looked up further, unless what they are asked for stands elsewhere.
            SELECT o.pmid, o.ordinal, o.text
            FROM comention.sentence_text o
            WHERE comention.search_document(o.pmid, o.text) @@ within
              AND o.pmid >> 11 BETWEEN bottom AND top
              AND ($7 IS NULL OR o.pmid::bigint * 100000 + o.ordinal < $7)
            ORDER BY o.pmid DESC, o.ordinal DESC
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
        top := bottom - 1;
        blocks := blocks * 4;
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

-- Concepts whose names begin with what was typed; where there are none, those whose names resemble it. Of a beginning that
-- hundreds of names have, the ten thousand most cited concepts are tried in their order until enough have it; of any other, the
-- folded totals of those that have it say which are shown. The counts of what is shown are exact.
CREATE FUNCTION analysis.suggest(prefix text, max_rows integer DEFAULT 10, of_label text DEFAULT NULL)
RETURNS TABLE (label text, concept text, preferred_name text, name text, sentence_count bigint, citation_count bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_indexonlyscan = off AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    typed CONSTANT text := pg_catalog.lower(pg_catalog.btrim(prefix));
    folded CONSTANT text := analysis.normalise_name(typed);
    pattern CONSTANT text := pg_catalog.regexp_replace(typed, '([%_\\])', '\\\1', 'g') || '%';
    folded_pattern CONSTANT text := pg_catalog.regexp_replace(folded, '([%_\\])', '\\\1', 'g') || '%';
    begun integer[];
    ids integer[];
    got integer;
BEGIN
    IF typed = '' THEN
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT f.concept_id) INTO begun FROM (
        (SELECT n.concept_id FROM comention.name n WHERE n.text LIKE pattern LIMIT 1000)
        UNION ALL
        (SELECT n.concept_id FROM comention.name n WHERE n.text LIKE folded_pattern AND folded_pattern <> pattern LIMIT 1000)
    ) f;
    IF cardinality(begun) >= 500 THEN
        SELECT array_agg(f.id) INTO ids FROM (
            (SELECT t.drug_id AS id
             FROM (SELECT x.drug_id, x.citation_count FROM comention.cooccurrence_total x
                   WHERE x.annotator_id = a AND x.condition_id = 0 AND x.drug_id > 0 AND coalesce(of_label, 'Drug') = 'Drug'
                   ORDER BY x.citation_count DESC, x.sentence_count DESC, x.drug_id LIMIT 10000) t
             WHERE EXISTS (SELECT FROM comention.name n WHERE n.concept_id = t.drug_id
                           AND (n.text LIKE pattern OR n.text LIKE folded_pattern))
             LIMIT max_rows)
            UNION ALL
            (SELECT t.condition_id
             FROM (SELECT x.condition_id, x.citation_count FROM comention.cooccurrence_total x
                   WHERE x.annotator_id = a AND x.drug_id = 0 AND x.condition_id > 0
                     AND coalesce(of_label, 'Condition') = 'Condition'
                   ORDER BY x.citation_count DESC, x.sentence_count DESC, x.condition_id LIMIT 10000) t
             WHERE EXISTS (SELECT FROM comention.name n WHERE n.concept_id = t.condition_id
                           AND (n.text LIKE pattern OR n.text LIKE folded_pattern))
             LIMIT max_rows)
        ) f;
    END IF;
    IF ids IS NULL OR cardinality(ids) < max_rows THEN
        SELECT array_agg(f.id) INTO ids FROM (
            SELECT w.id
            FROM unnest(begun) w (id)
            JOIN comention.concept k ON k.id = w.id
            JOIN comention.label l ON l.id = k.label_id
            LEFT JOIN comention.cooccurrence_total t
                ON t.annotator_id = a
               AND t.drug_id = CASE l.name WHEN 'Drug' THEN k.id ELSE 0 END
               AND t.condition_id = CASE l.name WHEN 'Condition' THEN k.id ELSE 0 END
            WHERE l.name IN ('Drug', 'Condition') AND l.name = coalesce(of_label, l.name)
            ORDER BY t.citation_count DESC NULLS LAST, w.id
            LIMIT 3 * max_rows::bigint
        ) f;
    END IF;
    FOR attempt IN 1..2 LOOP
        RETURN QUERY
        SELECT l.name, k.key, k.preferred_name,
               (SELECT n.text FROM comention.name n WHERE n.concept_id = k.id
                ORDER BY n.text LIKE pattern DESC, n.text LIKE folded_pattern DESC, similarity(n.text, folded) DESC, n.text LIMIT 1),
               m.n, m.c
        FROM unnest(ids) w (id)
        JOIN comention.concept k ON k.id = w.id
        JOIN comention.label l ON l.id = k.label_id
        CROSS JOIN LATERAL (
            SELECT sum(p.sentence_count)::bigint AS n, sum(p.citation_count)::bigint AS c
            FROM comention.cooccurrence_total_part p
            WHERE p.annotator_id = a
              AND p.drug_id = CASE l.name WHEN 'Drug' THEN k.id ELSE 0 END
              AND p.condition_id = CASE l.name WHEN 'Condition' THEN k.id ELSE 0 END
        ) m
        WHERE l.name IN ('Drug', 'Condition') AND l.name = coalesce(of_label, l.name) AND m.n > 0
        ORDER BY CASE attempt WHEN 2 THEN (
                     SELECT max(similarity(n.text, folded)) FROM comention.name n WHERE n.concept_id = k.id) END DESC NULLS LAST,
                 m.c DESC, m.n DESC, k.key
        LIMIT max_rows;
        GET DIAGNOSTICS got = ROW_COUNT;
        EXIT WHEN got > 0 OR pg_catalog.length(folded) < 3;
        -- A slip of the finger: names that share enough of their trigrams.
        SELECT array_agg(DISTINCT near.concept_id) INTO ids FROM (
            SELECT n.concept_id FROM comention.name n WHERE n.text % folded
            ORDER BY similarity(n.text, folded) DESC LIMIT 50
        ) near;
    END LOOP;
END
$$;
COMMENT ON FUNCTION analysis.suggest(text, integer, text) IS
    'Drugs and conditions whose names begin with what was typed, the most cited first; where there are none, those whose names resemble it. of_label: Drug or Condition only. name is the spelling that matches best';

-- What the counts were. Today's, less what began to count since, plus what has ceased to since.
CREATE FUNCTION analysis.cooccurrence_asof(at timestamptz, of_drug text DEFAULT NULL, of_condition text DEFAULT NULL)
RETURNS TABLE (drug text, condition text, sentence_count bigint, citation_count bigint, annotator text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    a smallint;
    wanted_drug CONSTANT integer := comention.find_concept('Drug', $2);
    wanted_condition CONSTANT integer := comention.find_concept('Condition', $3);
BEGIN
    SELECT p.annotator_id INTO a FROM comention.promotion p WHERE p.promoted_at <= at ORDER BY p.promoted_at DESC, p.id DESC LIMIT 1;
    IF a IS NULL OR ($2 IS NOT NULL AND wanted_drug IS NULL) OR ($3 IS NOT NULL AND wanted_condition IS NULL) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT d.key, k.key, cell.s::bigint, cell.c::bigint, (SELECT n.name FROM comention.annotator n WHERE n.id = a)
    FROM (
        SELECT part.drug_id, part.condition_id, sum(part.s) AS s, sum(part.c) AS c
        FROM (
            SELECT p.drug_id, p.condition_id, p.sentence_count AS s, p.citation_count AS c
            FROM comention.cooccurrence_total_part p
            WHERE p.annotator_id = a
            UNION ALL
            SELECT x.drug_id, x.condition_id, -x.sentence_count, -x.citation_count
            FROM comention.citation_contribution(
                ARRAY(SELECT l.pmid FROM comention.annotation l WHERE l.annotator_id = a AND l.counted_since > at), a) x
            UNION ALL
            SELECT u.drug_id, u.condition_id, u.n, 1
            FROM comention.past_contribution q
            CROSS JOIN LATERAL unnest(q.drug_ids, q.condition_ids, q.sentence_counts) AS u (drug_id, condition_id, n)
            WHERE q.annotator_id = a AND q.counted_until > at AND q.counted_since <= at
        ) part
        WHERE part.drug_id > 0 AND part.condition_id > 0
          AND (wanted_drug IS NULL OR part.drug_id = wanted_drug)
          AND (wanted_condition IS NULL OR part.condition_id = wanted_condition)
        GROUP BY part.drug_id, part.condition_id
        HAVING sum(part.s) <> 0 OR sum(part.c) <> 0
    ) cell
    JOIN comention.concept d ON d.id = cell.drug_id
    JOIN comention.concept k ON k.id = cell.condition_id;
END
$$;
COMMENT ON FUNCTION analysis.cooccurrence_asof(timestamptz, text, text) IS
    'What analysis.cooccurrence counted at a moment, by the annotator that was promoted then; of a drug, a condition or a pair where they are given. A change counts from the start of the transaction that made it';

-- What moved the counts of a pair since a moment: what its citations contribute began to count once, and some has ceased to.
CREATE FUNCTION comention.changes_of_pair(of_drug integer, of_condition integer, since timestamptz)
RETURNS TABLE (changed_at timestamptz, pmid integer, reason text, sentence_delta integer, citation_delta integer)
LANGUAGE plpgsql STABLE SET search_path = '' SET jit = off AS $$
#variable_conflict use_column
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    drugs CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_drug);
    conditions CONSTANT integer[] := ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = of_condition);
BEGIN
    RETURN QUERY
    WITH span AS MATERIALIZED (
        SELECT l.pmid, l.counted_since AS began, NULL::timestamptz AS ended, NULL::text AS reason, x.sentence_count AS n
        FROM comention.citation_contribution(
            ARRAY(SELECT m.pmid FROM comention.citation_mentions m
                  WHERE m.annotator_id = a
                    AND comention.mention_keys(m.pmid, m.name_ids) && drugs
                    AND comention.mention_keys(m.pmid, m.name_ids) && conditions), a) x
        JOIN comention.annotation l ON l.pmid = x.pmid AND l.annotator_id = a
        WHERE x.drug_id = of_drug AND x.condition_id = of_condition
        UNION ALL
        SELECT q.pmid, q.counted_since, q.counted_until, q.reason, u.n
        FROM comention.past_contribution q
        CROSS JOIN LATERAL unnest(q.drug_ids, q.condition_ids, q.sentence_counts) AS u (drug_id, condition_id, n)
        WHERE q.annotator_id = a AND q.counted_until > since AND u.drug_id = of_drug AND u.condition_id = of_condition
    )
    SELECT e.at, e.pmid, e.why, e.n, e.c
    FROM (
        SELECT s.began AS at, s.pmid, coalesce(
                   (SELECT CASE q.reason WHEN 'retraction' THEN 'retraction lifted' WHEN 'deletion' THEN 'new citation'
                                         WHEN 'removal' THEN 'new citation' ELSE q.reason END
                    FROM comention.past_contribution q
                    WHERE q.pmid = s.pmid AND q.annotator_id = a AND q.counted_until <= s.began
                    ORDER BY q.counted_until DESC, q.id DESC LIMIT 1),
                   'new citation') AS why, s.n, 1 AS c
        FROM span s
        UNION ALL
        SELECT s.ended, s.pmid, s.reason, -s.n, -1 FROM span s WHERE s.ended IS NOT NULL
    ) e
    WHERE e.at > since
    ORDER BY e.at DESC, e.pmid, e.c DESC;
END
$$;

CREATE FUNCTION analysis.cooccurrence_changes(drug text, condition text, since timestamptz DEFAULT '-infinity')
RETURNS TABLE (changed_at timestamptz, pmid integer, reason text, sentence_delta integer, citation_delta integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT * FROM comention.changes_of_pair(
        comention.find_concept('Drug', $1), comention.find_concept('Condition', $2), $3)
$$;
COMMENT ON FUNCTION analysis.cooccurrence_changes(text, text, timestamptz) IS
    'Why the counts of a pair have changed, newest first: new citation, revision, retraction, retraction lifted, deletion, removal, re-annotation, re-linking or correction (of the date of publication). The deltas since a moment lead from analysis.cooccurrence_asof of it to today''s counts, while the same annotator is promoted';
