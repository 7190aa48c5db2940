-- The annotator that a session looks at. Views and functions ask this function whose counts and evidence they show, so that one
-- setting shows another annotator's: SET comention.annotator = '2', a number of analysis.annotator; empty or unset is the promoted
-- one. analysis.mention and analysis.coverage stay with the promoted one; analysis.annotator_mention has all of them.
CREATE OR REPLACE FUNCTION analysis.promoted_annotator() RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT id FROM comention.annotator
    WHERE CASE coalesce(pg_catalog.current_setting('comention.annotator', true), '')
              WHEN '' THEN promoted
              ELSE id::text = pg_catalog.current_setting('comention.annotator', true) END
$$;
COMMENT ON FUNCTION analysis.promoted_annotator() IS
    'Number of the annotator whose counts and evidence are shown: the promoted one, or the one whose number the session has set as comention.annotator';

-- Names and counts of a few concepts in one reading: analysis.drug and analysis.condition sum up all of theirs before they
-- give one.
CREATE FUNCTION analysis.concepts(of_label text, wanted text[])
RETURNS TABLE (asked text, concept text, preferred_name text, names text[], sentence_count bigint, citation_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off AS $$
    SELECT w.asked, k.key, k.preferred_name,
           ARRAY(SELECT n.text FROM comention.name n WHERE n.concept_id = k.id ORDER BY n.text LIMIT 100),
           coalesce(m.n, 0)::bigint, coalesce(m.c, 0)::bigint
    FROM (
        -- As comention.find_concept, which a call for each would make ten times as slow: a CURIE is not folded.
        SELECT u.asked, coalesce(
                   (SELECT c.id FROM comention.concept c JOIN comention.label l ON l.id = c.label_id
                    WHERE l.name = $1 AND c.key = u.asked AND c.curie),
                   (SELECT n.concept_id FROM comention.name n JOIN comention.label l ON l.id = n.label_id
                    WHERE l.name = $1 AND n.text = analysis.normalise_name(u.asked))) AS id
        FROM unnest($2) AS u (asked) OFFSET 0
    ) w
    JOIN comention.concept k ON k.id = w.id
    CROSS JOIN LATERAL (
        SELECT sum(p.sentence_count) AS n, sum(p.citation_count) AS c
        FROM comention.cooccurrence_total_part p
        WHERE p.annotator_id = (SELECT analysis.promoted_annotator())
          AND p.drug_id = CASE $1 WHEN 'Drug' THEN k.id ELSE 0 END
          AND p.condition_id = CASE $1 WHEN 'Condition' THEN k.id ELSE 0 END
    ) m
    WHERE $1 IN ('Drug', 'Condition')
$$;
COMMENT ON FUNCTION analysis.concepts(text, text[]) IS
    'Drugs (of_label Drug) or conditions (Condition) by any spelling or CURIE: concept, preferred name, up to 100 names that stand for it, and how many sentences and citations mention it; what is not known is left out';

-- The years of a few partners: analysis.cooccurrence_year reads the years of all partners before it gives some.
CREATE FUNCTION analysis.partner_years(of_label text, concept text, partners text[])
RETURNS TABLE (partner text, year integer, sentence_count bigint, citation_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    SELECT w.partner, y.year, y.n, y.c
    FROM (
        SELECT k.key AS partner, k.id AS other, of_concept.id AS id
        FROM (SELECT comention.find_concept($1, $2) AS id OFFSET 0) of_concept
        CROSS JOIN unnest($3) AS u (asked)
        JOIN comention.label l ON l.name = CASE $1 WHEN 'Drug' THEN 'Condition' WHEN 'Condition' THEN 'Drug' END
        JOIN comention.concept k ON k.label_id = l.id AND k.key = u.asked
        OFFSET 0
    ) w
    CROSS JOIN LATERAL (
        SELECT p.year::integer AS year, sum(p.sentence_count)::bigint AS n, sum(p.citation_count)::bigint AS c
        FROM comention.cooccurrence_part p
        WHERE p.annotator_id = (SELECT analysis.promoted_annotator()) AND p.year > 0
          AND p.drug_id = CASE $1 WHEN 'Drug' THEN w.id ELSE w.other END
          AND p.condition_id = CASE $1 WHEN 'Drug' THEN w.other ELSE w.id END
        GROUP BY p.year
        HAVING sum(p.sentence_count) <> 0 OR sum(p.citation_count) <> 0
    ) y
$$;
COMMENT ON FUNCTION analysis.partner_years(text, text, text[]) IS
    'Sentences and citations by year of a drug (of_label Drug) with some conditions, or of a condition (Condition) with some drugs: the concept in any spelling, its partners as analysis.cooccurrence has them; as analysis.cooccurrence_year, and faster for a few partners of a frequent concept';
