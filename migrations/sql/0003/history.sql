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
