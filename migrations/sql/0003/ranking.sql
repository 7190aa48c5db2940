-- What is asked most, answered in milliseconds. These functions run as their owner, with one plan for all arguments: planning
-- would take longer than reading. The private schema stays closed to those who call them.
-- Such a plan is made for a drug of average frequency, and some drugs are a thousand times as frequent. So the functions rule
-- out what is good on average only: to sort all partners of a drug instead of reading the first ones in their order; to look
-- a cell up by walking over all partners in an index of a ranking, because that one needs no visit to the table; to read the
-- deltas from end to end, because there were none when the plan was made; to start parallel workers, which takes longer than to
-- answer.

-- First and last year of a cell, from the counts by year; for cells that deltas have taken from since the last folding.
CREATE FUNCTION comention.years_of_cell(a smallint, of_drug integer, of_condition integer)
RETURNS TABLE (first_year smallint, last_year smallint)
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT min(v.year), max(v.year)
    FROM (
        SELECT p.year FROM comention.cooccurrence_part p
        WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id = of_condition AND p.year > 0
        GROUP BY p.year
        HAVING sum(p.sentence_count) <> 0 OR sum(p.citation_count) <> 0
    ) v
$$;

-- The partners of a drug, of a condition, or all pairs, that stand in most citations: folded totals in the order of their index,
-- and beside them the cells that deltas have moved since; each cell comes from one of the two. Most moves are by a citation or
-- two, and a cell so moved is among the first only with a total near `bar`, what the last of the unmoved has: the index of rank
-- is read as far as that. Cells that have moved farther, or may be new among the first, are looked up one by one. Where nothing
-- has moved, the index alone is read: to set the rest up would take longer than that. All that tie with the last row come too,
-- for names are what decides among those.
CREATE FUNCTION comention.rank_pairs(a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint,
               first_year smallint, last_year smallint)
LANGUAGE plpgsql STABLE ROWS 20 SET search_path = '' SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_indexonlyscan = off AS $$
#variable_conflict use_column
BEGIN
    IF of_drug IS NOT NULL AND of_condition IS NOT NULL THEN
        RETURN QUERY
        SELECT of_drug, of_condition, cell.s, cell.c,
               CASE WHEN cell.taken THEN (SELECT y.first_year FROM comention.years_of_cell(a, of_drug, of_condition) y)
                    ELSE cell.first END,
               CASE WHEN cell.taken THEN (SELECT y.last_year FROM comention.years_of_cell(a, of_drug, of_condition) y)
                    ELSE cell.last END
        FROM (
            SELECT sum(p.s)::bigint AS s, sum(p.c)::bigint AS c, min(p.first) AS first, max(p.last) AS last, bool_or(p.s < 0) AS taken
            FROM (
                SELECT t.sentence_count AS s, t.citation_count AS c, t.first_year AS first, t.last_year AS last
                FROM comention.cooccurrence_total t
                WHERE t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id = of_condition
                UNION ALL
                SELECT x.sentence_count, x.citation_count, x.first_year, x.last_year
                FROM comention.cooccurrence_delta x
                WHERE x.annotator_id = a AND x.drug_id = of_drug AND x.condition_id = of_condition
            ) p
            HAVING sum(p.s) >= greatest(min_sentences, 1)
        ) cell;
    ELSIF of_drug IS NOT NULL AND NOT EXISTS (
        SELECT FROM comention.cooccurrence_delta x WHERE x.annotator_id = a AND x.drug_id = of_drug
    ) THEN
        RETURN QUERY
        SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count, t.first_year, t.last_year
        FROM comention.cooccurrence_total t
        WHERE t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id > 0 AND t.sentence_count >= min_sentences
        ORDER BY t.citation_count DESC, t.sentence_count DESC
        FETCH FIRST (max_rows) ROWS WITH TIES;
    ELSIF of_condition IS NOT NULL AND NOT EXISTS (
        SELECT FROM comention.cooccurrence_delta x WHERE x.annotator_id = a AND x.condition_id = of_condition
    ) THEN
        RETURN QUERY
        SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count, t.first_year, t.last_year
        FROM comention.cooccurrence_total t
        WHERE t.annotator_id = a AND t.condition_id = of_condition AND t.drug_id > 0 AND t.sentence_count >= min_sentences
        ORDER BY t.citation_count DESC, t.sentence_count DESC
        FETCH FIRST (max_rows) ROWS WITH TIES;
    ELSIF of_drug IS NOT NULL THEN
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.condition_id, sum(x.sentence_count)::bigint AS s, sum(x.citation_count)::bigint AS c, bool_or(x.sentence_count < 0) AS taken,
                   min(x.first_year) AS first, max(x.last_year) AS last
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.drug_id = of_drug AND x.condition_id > 0
            GROUP BY x.condition_id
        ), unmoved AS MATERIALIZED (
            SELECT t.condition_id, t.sentence_count, t.citation_count, t.first_year, t.last_year
            FROM comention.cooccurrence_total t
            WHERE t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id > 0 AND t.sentence_count >= min_sentences
              AND t.condition_id NOT IN (SELECT m.condition_id FROM moved m)
            ORDER BY t.citation_count DESC, t.sentence_count DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        ), bar AS MATERIALIZED (
            SELECT CASE WHEN count(*) >= max_rows THEN min(u.citation_count) ELSE 0 END AS c FROM unmoved u
        ), found AS (
            SELECT u.*, false AS taken FROM unmoved u
            UNION ALL
            SELECT m.condition_id, (m.s + coalesce(t.sentence_count, 0))::bigint, (m.c + coalesce(t.citation_count, 0))::bigint,
                   least(t.first_year, m.first), greatest(t.last_year, m.last), m.taken
            FROM moved m
            LEFT JOIN comention.cooccurrence_total t
                ON t.annotator_id = a AND t.drug_id = of_drug AND t.condition_id = m.condition_id
            WHERE (m.c > 2 OR (SELECT bar.c FROM bar) <= 2 OR m.condition_id IN (
                      SELECT n.condition_id FROM comention.cooccurrence_total n
                      WHERE n.annotator_id = a AND n.drug_id = of_drug AND n.condition_id > 0
                        AND n.citation_count >= (SELECT bar.c - 2 FROM bar)))
              AND m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
            ORDER BY 3 DESC, 2 DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        )
        SELECT of_drug, f.condition_id, f.sentence_count, f.citation_count,
               CASE WHEN f.taken THEN (SELECT y.first_year FROM comention.years_of_cell(a, of_drug, f.condition_id) y)
                    ELSE f.first_year END,
               CASE WHEN f.taken THEN (SELECT y.last_year FROM comention.years_of_cell(a, of_drug, f.condition_id) y)
                    ELSE f.last_year END
        FROM found f;
    ELSIF of_condition IS NOT NULL THEN
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.drug_id, sum(x.sentence_count)::bigint AS s, sum(x.citation_count)::bigint AS c, bool_or(x.sentence_count < 0) AS taken,
                   min(x.first_year) AS first, max(x.last_year) AS last
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.condition_id = of_condition AND x.drug_id > 0
            GROUP BY x.drug_id
        ), unmoved AS MATERIALIZED (
            SELECT t.drug_id, t.sentence_count, t.citation_count, t.first_year, t.last_year
            FROM comention.cooccurrence_total t
            WHERE t.annotator_id = a AND t.condition_id = of_condition AND t.drug_id > 0 AND t.sentence_count >= min_sentences
              AND t.drug_id NOT IN (SELECT m.drug_id FROM moved m)
            ORDER BY t.citation_count DESC, t.sentence_count DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        ), bar AS MATERIALIZED (
            SELECT CASE WHEN count(*) >= max_rows THEN min(u.citation_count) ELSE 0 END AS c FROM unmoved u
        ), found AS (
            SELECT u.*, false AS taken FROM unmoved u
            UNION ALL
            SELECT m.drug_id, (m.s + coalesce(t.sentence_count, 0))::bigint, (m.c + coalesce(t.citation_count, 0))::bigint,
                   least(t.first_year, m.first), greatest(t.last_year, m.last), m.taken
            FROM moved m
            LEFT JOIN comention.cooccurrence_total t
                ON t.annotator_id = a AND t.condition_id = of_condition AND t.drug_id = m.drug_id
            WHERE (m.c > 2 OR (SELECT bar.c FROM bar) <= 2 OR m.drug_id IN (
                      SELECT n.drug_id FROM comention.cooccurrence_total n
                      WHERE n.annotator_id = a AND n.condition_id = of_condition AND n.drug_id > 0
                        AND n.citation_count >= (SELECT bar.c - 2 FROM bar)))
              AND m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
            ORDER BY 3 DESC, 2 DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        )
        SELECT f.drug_id, of_condition, f.sentence_count, f.citation_count,
               CASE WHEN f.taken THEN (SELECT y.first_year FROM comention.years_of_cell(a, f.drug_id, of_condition) y)
                    ELSE f.first_year END,
               CASE WHEN f.taken THEN (SELECT y.last_year FROM comention.years_of_cell(a, f.drug_id, of_condition) y)
                    ELSE f.last_year END
        FROM found f;
    ELSE
        RETURN QUERY
        WITH moved AS MATERIALIZED (
            SELECT x.drug_id, x.condition_id, sum(x.sentence_count)::bigint AS s, sum(x.citation_count)::bigint AS c,
                   bool_or(x.sentence_count < 0) AS taken, min(x.first_year) AS first, max(x.last_year) AS last
            FROM comention.cooccurrence_delta x
            WHERE x.annotator_id = a AND x.condition_id > 0 AND x.drug_id > 0
            GROUP BY x.drug_id, x.condition_id
        ), unmoved AS MATERIALIZED (
            SELECT t.drug_id, t.condition_id, t.sentence_count, t.citation_count, t.first_year, t.last_year
            FROM comention.cooccurrence_total t
            WHERE t.annotator_id = a AND t.drug_id > 0 AND t.condition_id > 0 AND t.sentence_count >= min_sentences
              AND (t.drug_id, t.condition_id) NOT IN (SELECT m.drug_id, m.condition_id FROM moved m)
            ORDER BY t.citation_count DESC, t.sentence_count DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        ), bar AS MATERIALIZED (
            SELECT CASE WHEN count(*) >= max_rows THEN min(u.citation_count) ELSE 0 END AS c FROM unmoved u
        ), found AS (
            SELECT u.*, false AS taken FROM unmoved u
            UNION ALL
            SELECT m.drug_id, m.condition_id, (m.s + coalesce(t.sentence_count, 0))::bigint,
                   (m.c + coalesce(t.citation_count, 0))::bigint, least(t.first_year, m.first), greatest(t.last_year, m.last), m.taken
            FROM moved m
            LEFT JOIN comention.cooccurrence_total t
                ON t.annotator_id = a AND t.drug_id = m.drug_id AND t.condition_id = m.condition_id
            WHERE (m.c > 2 OR (SELECT bar.c FROM bar) <= 2 OR (m.drug_id, m.condition_id) IN (
                      SELECT n.drug_id, n.condition_id FROM comention.cooccurrence_total n
                      WHERE n.annotator_id = a AND n.drug_id > 0 AND n.condition_id > 0
                        AND n.citation_count >= (SELECT bar.c - 2 FROM bar)))
              AND m.s + coalesce(t.sentence_count, 0) >= greatest(min_sentences, 1)
            ORDER BY 4 DESC, 3 DESC
            FETCH FIRST (max_rows) ROWS WITH TIES
        )
        SELECT f.drug_id, f.condition_id, f.sentence_count, f.citation_count,
               CASE WHEN f.taken THEN (SELECT y.first_year FROM comention.years_of_cell(a, f.drug_id, f.condition_id) y)
                    ELSE f.first_year END,
               CASE WHEN f.taken THEN (SELECT y.last_year FROM comention.years_of_cell(a, f.drug_id, f.condition_id) y)
                    ELSE f.last_year END
        FROM found f;
    END IF;
END
$$;

-- The same between two years, from the counts per year.
CREATE FUNCTION comention.rank_pairs_of_years(
    a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer
)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint,
               first_year smallint, last_year smallint)
LANGUAGE sql STABLE ROWS 20 SET search_path = '' AS $$
    SELECT cell.drug_id, cell.condition_id, sum(cell.s)::bigint, sum(cell.c)::bigint,
           min(cell.year) FILTER (WHERE cell.s <> 0), max(cell.year) FILTER (WHERE cell.s <> 0)
    FROM (
        SELECT p.drug_id, p.condition_id, p.year, sum(p.sentence_count) AS s, sum(p.citation_count) AS c
        FROM comention.cooccurrence_part p
        WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id > 0 AND of_condition IS NULL
          AND p.year BETWEEN from_year AND to_year
        GROUP BY p.drug_id, p.condition_id, p.year
        UNION ALL
        SELECT p.drug_id, p.condition_id, p.year, sum(p.sentence_count), sum(p.citation_count)
        FROM comention.cooccurrence_part p
        WHERE p.annotator_id = a AND p.condition_id = of_condition AND p.drug_id > 0 AND of_drug IS NULL
          AND p.year BETWEEN from_year AND to_year
        GROUP BY p.drug_id, p.condition_id, p.year
        UNION ALL
        SELECT p.drug_id, p.condition_id, p.year, sum(p.sentence_count), sum(p.citation_count)
        FROM comention.cooccurrence_part p
        WHERE p.annotator_id = a AND p.drug_id = of_drug AND p.condition_id = of_condition
          AND p.year BETWEEN from_year AND to_year
        GROUP BY p.drug_id, p.condition_id, p.year
    ) cell
    GROUP BY cell.drug_id, cell.condition_id
    HAVING sum(cell.s) >= greatest(min_sentences, 1)
    ORDER BY 4 DESC, 3 DESC
    FETCH FIRST (max_rows) ROWS WITH TIES
$$;

-- The same where only some mentions are wanted: read from the mentions of the citations that have the drug or condition.
CREATE FUNCTION comention.rank_pairs_of_mentions(
    a smallint, of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer,
    in_section text, of_type text, min_score real
)
RETURNS TABLE (drug_id integer, condition_id integer, sentence_count bigint, citation_count bigint,
               first_year smallint, last_year smallint)
LANGUAGE sql STABLE ROWS 20 SET search_path = '' AS $$
    WITH wanted AS MATERIALIZED (
        SELECT array_agg(n.id) FILTER (WHERE n.concept_id = of_drug) AS drugs,
               array_agg(n.id) FILTER (WHERE n.concept_id = of_condition) AS conditions
        FROM comention.name n
        WHERE n.concept_id IN (of_drug, of_condition)
    ), hit AS MATERIALIZED (
        SELECT DISTINCT m.pmid, u.ordinal, n.concept_id, l.name AS label, extract(year FROM c.published_on)::smallint AS year
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
    SELECT d.concept_id, k.concept_id, count(*), count(DISTINCT d.pmid), min(d.year), max(d.year)
    FROM hit d
    JOIN hit k ON k.pmid = d.pmid AND k.ordinal = d.ordinal AND k.label = 'Condition'
    WHERE d.label = 'Drug'
      AND (of_drug IS NULL OR d.concept_id = of_drug) AND (of_condition IS NULL OR k.concept_id = of_condition)
    GROUP BY d.concept_id, k.concept_id
    HAVING count(*) >= min_sentences
    ORDER BY 4 DESC, 3 DESC
    FETCH FIRST (max_rows) ROWS WITH TIES
$$;

-- What a drug, a condition, or with 0 for both all citations have on their own; put in place of the call by the planner.
CREATE FUNCTION comention.margin(a smallint, of_drug integer, of_condition integer)
RETURNS TABLE (n bigint, c bigint, w bigint)
LANGUAGE sql STABLE AS $$
    SELECT sum(e.sentence_count)::bigint, sum(e.citation_count)::bigint, sum(e.pair_count)::bigint
    FROM comention.cooccurrence_total_part e
    WHERE e.annotator_id = $1 AND e.drug_id = $2 AND e.condition_id = $3
$$;

-- Pairs with everything that analysis.cooccurrence says of them. Filters by section, publication type or score leave the
-- statistics null: what drug and condition have on their own under such a filter is not counted. Without a filter, which is what
-- is asked most, statements of their own read the totals alone, of a drug, of a condition, or of pairs: to set up parts that are not
-- read would take a fifth of the time, and to look up what all rows share for each of them another. Otherwise margins are looked up
-- once for each drug and condition, for adding up their years takes longer. Among equals names decide, byte by byte.
CREATE FUNCTION comention.list_pairs(
    of_drug integer, of_condition integer, max_rows integer, min_sentences bigint, from_year integer, to_year integer,
    in_section text, of_type text, min_score real
)
RETURNS SETOF analysis.cooccurrence
LANGUAGE plpgsql STABLE ROWS 20 SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0 SET enable_seqscan = off SET enable_indexonlyscan = off SET enable_memoize = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    a CONSTANT smallint := analysis.promoted_annotator();
    by_mention CONSTANT boolean := in_section IS NOT NULL OR of_type IS NOT NULL OR min_score IS NOT NULL;
    by_year CONSTANT boolean := NOT by_mention AND (from_year IS NOT NULL OR to_year IS NOT NULL);
    all_rows CONSTANT integer := coalesce(max_rows, 2147483647);
    first_of CONSTANT integer := CASE WHEN from_year IS NOT NULL OR to_year IS NOT NULL THEN coalesce(from_year, 1) END;
    last_of CONSTANT integer := CASE WHEN from_year IS NOT NULL OR to_year IS NOT NULL THEN coalesce(to_year, 32767) END;
BEGIN
    IF NOT by_mention AND NOT by_year AND of_drug IS NOT NULL AND of_condition IS NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (
            SELECT r.*, k.key
            FROM comention.rank_pairs(a, of_drug, of_condition, all_rows, min_sentences) r
            JOIN comention.concept k ON k.id = r.condition_id
            ORDER BY r.citation_count DESC, r.sentence_count DESC, k.key COLLATE "C"
            LIMIT all_rows
        ) f
        CROSS JOIN (SELECT k.key FROM comention.concept k WHERE k.id = of_drug) fixed
        CROSS JOIN comention.margin(a, 0, 0) z
        CROSS JOIN comention.margin(a, of_drug, 0) x
        CROSS JOIN LATERAL comention.margin(a, 0, f.condition_id) y
        CROSS JOIN LATERAL comention.associate(
            fixed.key, f.key, f.sentence_count, f.citation_count, f.first_year::integer, f.last_year::integer,
            x.n, y.n, z.n, x.c, y.c, z.c, x.w, y.w, z.w
        ) p
        ORDER BY p.citation_count DESC, p.sentence_count DESC, p.condition COLLATE "C";
        RETURN;
    ELSIF NOT by_mention AND NOT by_year AND of_drug IS NULL AND of_condition IS NOT NULL THEN
        RETURN QUERY
        SELECT p.*
        FROM (
            SELECT r.*, k.key
            FROM comention.rank_pairs(a, of_drug, of_condition, all_rows, min_sentences) r
            JOIN comention.concept k ON k.id = r.drug_id
            ORDER BY r.citation_count DESC, r.sentence_count DESC, k.key COLLATE "C"
            LIMIT all_rows
        ) f
        CROSS JOIN (SELECT k.key FROM comention.concept k WHERE k.id = of_condition) fixed
        CROSS JOIN comention.margin(a, 0, 0) z
        CROSS JOIN LATERAL comention.margin(a, f.drug_id, 0) x
        CROSS JOIN comention.margin(a, 0, of_condition) y
        CROSS JOIN LATERAL comention.associate(
            f.key, fixed.key, f.sentence_count, f.citation_count, f.first_year::integer, f.last_year::integer,
            x.n, y.n, z.n, x.c, y.c, z.c, x.w, y.w, z.w
        ) p
        ORDER BY p.citation_count DESC, p.sentence_count DESC, p.drug COLLATE "C";
        RETURN;
    ELSIF NOT by_mention AND NOT by_year THEN
        RETURN QUERY
        SELECT p.*
        FROM (
            SELECT r.*, d.key AS drug, k.key AS condition
            FROM comention.rank_pairs(a, of_drug, of_condition, all_rows, min_sentences) r
            JOIN comention.concept d ON d.id = r.drug_id
            JOIN comention.concept k ON k.id = r.condition_id
            ORDER BY r.citation_count DESC, r.sentence_count DESC, d.key COLLATE "C", k.key COLLATE "C"
            LIMIT all_rows
        ) f
        CROSS JOIN comention.margin(a, 0, 0) z
        CROSS JOIN LATERAL comention.margin(a, f.drug_id, 0) x
        CROSS JOIN LATERAL comention.margin(a, 0, f.condition_id) y
        CROSS JOIN LATERAL comention.associate(
            f.drug, f.condition, f.sentence_count, f.citation_count, f.first_year::integer, f.last_year::integer,
            x.n, y.n, z.n, x.c, y.c, z.c, x.w, y.w, z.w
        ) p
        ORDER BY p.citation_count DESC, p.sentence_count DESC, p.drug COLLATE "C", p.condition COLLATE "C";
        RETURN;
    END IF;
    RETURN QUERY
    WITH ranked AS MATERIALIZED (
        SELECT r.* FROM comention.rank_pairs_of_years(
            a, of_drug, of_condition, all_rows, min_sentences, first_of, last_of) r
        WHERE by_year
        UNION ALL
        SELECT r.* FROM comention.rank_pairs_of_mentions(
            a, of_drug, of_condition, all_rows, min_sentences, first_of, last_of, in_section, of_type, min_score) r
        WHERE by_mention
    ), found AS MATERIALIZED (
        SELECT r.*, d.key AS drug, k.key AS condition
        FROM ranked r
        JOIN comention.concept d ON d.id = r.drug_id
        JOIN comention.concept k ON k.id = r.condition_id
        ORDER BY r.citation_count DESC, r.sentence_count DESC, d.key COLLATE "C", k.key COLLATE "C"
        LIMIT all_rows
    ), margin AS MATERIALIZED (
        SELECT w.drug_id, w.condition_id, sum(e.sentence_count)::bigint AS n, sum(e.citation_count)::bigint AS c
        FROM (
            VALUES (0, 0)
            UNION SELECT 0, f.condition_id FROM found f
            UNION SELECT f.drug_id, 0 FROM found f
        ) w (drug_id, condition_id)
        JOIN comention.cooccurrence_part e
            ON e.annotator_id = a AND e.drug_id = w.drug_id AND e.condition_id = w.condition_id
           AND e.year BETWEEN first_of AND last_of
        WHERE by_year
        GROUP BY w.drug_id, w.condition_id
    )
    SELECT p.*
    FROM found f
    LEFT JOIN margin x ON x.drug_id = f.drug_id AND x.condition_id = 0
    LEFT JOIN margin y ON y.drug_id = 0 AND y.condition_id = f.condition_id
    LEFT JOIN margin z ON z.drug_id = 0 AND z.condition_id = 0
    CROSS JOIN LATERAL comention.associate(
        f.drug, f.condition, f.sentence_count, f.citation_count, f.first_year::integer, f.last_year::integer,
        x.n, y.n, z.n, x.c, y.c, z.c, NULL, NULL, NULL
    ) p
    ORDER BY p.citation_count DESC, p.sentence_count DESC, p.drug COLLATE "C", p.condition COLLATE "C";
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
