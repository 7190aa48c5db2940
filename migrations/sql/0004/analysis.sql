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
    FROM (SELECT u.asked, comention.find_concept($1, u.asked) AS id FROM unnest($2) AS u (asked) OFFSET 0) w
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
