-- Two annotators over the newest texts that both have read. analysis.annotator_agreement reads all mentions of all of them.

CREATE FUNCTION comention.read_by_both(first integer, second integer, max_citations integer, last_pmid integer)
RETURNS TABLE (pmid integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET jit = off SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_sort = off SET enable_hashjoin = off AS $$
    SELECT a.pmid
    FROM comention.annotation a
    JOIN comention.annotation b ON b.pmid = a.pmid AND b.annotator_id = $2 AND b.content_hash = a.content_hash
    WHERE a.annotator_id = $1 AND a.pmid <= coalesce($4, 2147483647)
    ORDER BY a.pmid DESC
    LIMIT $3
$$;

-- Names are interned, so two mentions of one span and one label have one name, and equal rows are equal mentions.
CREATE FUNCTION comention.mentions_of_both(of_pmid integer, first integer, second integer)
RETURNS TABLE (ordinal integer, start_char integer, end_char integer, name_id integer, in_first boolean, in_second boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT u.ordinal, u.s, u.e, u.name_id, bool_or(m.annotator_id = $2), bool_or(m.annotator_id = $3)
    FROM comention.citation_mentions m
    CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids) AS u (ordinal, s, e, name_id)
    WHERE m.pmid = $1 AND m.annotator_id IN ($2, $3)
    GROUP BY u.ordinal, u.s, u.e, u.name_id
$$;

CREATE FUNCTION analysis.agreement(first integer, second integer, max_citations integer DEFAULT 1000)
RETURNS TABLE (label text, agreeing bigint, only_first bigint, only_second bigint, citation_count bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
    WITH both_read AS MATERIALIZED (SELECT r.pmid FROM comention.read_by_both($1, $2, $3, NULL) r)
    SELECT l.name,
           count(*) FILTER (WHERE d.in_first AND d.in_second),
           count(*) FILTER (WHERE d.in_first AND NOT d.in_second),
           count(*) FILTER (WHERE d.in_second AND NOT d.in_first),
           (SELECT count(*) FROM both_read)
    FROM both_read r
    CROSS JOIN LATERAL comention.mentions_of_both(r.pmid, $1, $2) d
    JOIN comention.name n ON n.id = d.name_id
    JOIN comention.label l ON l.id = n.label_id
    WHERE $1 <> $2
    GROUP BY l.name
$$;
COMMENT ON FUNCTION analysis.agreement(integer, integer, integer) IS
    'Two annotators, by their numbers, over the newest citations that both have read in the same text: mentions with the same span and label from both, and those of one alone, by label; citation_count is how many citations were looked at. analysis.annotator_agreement counts them all, and takes longer';

CREATE FUNCTION analysis.differing_sentences(
    first integer, second integer, max_rows integer DEFAULT 20, of_label text DEFAULT NULL,
    before_sentence_id bigint DEFAULT NULL, max_citations integer DEFAULT 1000
)
RETURNS TABLE (
    sentence_id bigint, pmid integer, text text, section text, year integer, title text, journal text, labels text[],
    starts integer[], ends integer[], in_first boolean[], in_second boolean[], retracted boolean
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
    SELECT s.sentence_id, s.pmid, s.text, s.section, c.year, c.title, c.journal, found.labels, found.starts, found.ends,
           found.in_first, found.in_second, c.retracted
    FROM (
        SELECT r.pmid, d.ordinal, r.pmid::bigint * 100000 + d.ordinal AS sentence_id,
               array_agg(l.name ORDER BY d.start_char, d.end_char, l.name) AS labels,
               array_agg(d.start_char ORDER BY d.start_char, d.end_char, l.name) AS starts,
               array_agg(d.end_char ORDER BY d.start_char, d.end_char, l.name) AS ends,
               array_agg(d.in_first ORDER BY d.start_char, d.end_char, l.name) AS in_first,
               array_agg(d.in_second ORDER BY d.start_char, d.end_char, l.name) AS in_second
        FROM comention.read_by_both($1, $2, $6, least($5 / 100000, 2147483647)::integer) r
        CROSS JOIN LATERAL comention.mentions_of_both(r.pmid, $1, $2) d
        JOIN comention.name n ON n.id = d.name_id
        JOIN comention.label l ON l.id = n.label_id
        WHERE $1 <> $2 AND ($4 IS NULL OR l.name = $4)
          AND ($5 IS NULL OR r.pmid::bigint * 100000 + d.ordinal < $5)
        GROUP BY r.pmid, d.ordinal
        HAVING NOT bool_and(d.in_first AND d.in_second)
        ORDER BY r.pmid DESC, d.ordinal DESC
        LIMIT $3
    ) found
    JOIN analysis.sentence s ON s.pmid = found.pmid AND s.ordinal = found.ordinal
    JOIN analysis.citation c ON c.pmid = found.pmid
    ORDER BY s.pmid DESC, s.ordinal DESC
$$;
COMMENT ON FUNCTION analysis.differing_sentences(integer, integer, integer, text, bigint, integer) IS
    'Sentences in which two annotators, by their numbers, do not mark the same, highest PMID first, among the newest max_citations that both have read: all mentions of the two (of one label, where it is given) with spans in code points from 0, and whose each is. The next page comes with the last sentence_id as before_sentence_id';

CREATE FUNCTION analysis.lowest_read_by_both(
    first integer, second integer, max_citations integer DEFAULT 1000, before_sentence_id bigint DEFAULT NULL
)
RETURNS TABLE (lowest_pmid integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT min(r.pmid) FROM comention.read_by_both($1, $2, $3, least($4 / 100000, 2147483647)::integer) r HAVING count(*) >= $3
$$;
COMMENT ON FUNCTION analysis.lowest_read_by_both(integer, integer, integer, bigint) IS
    'The lowest PMID that analysis.differing_sentences looks at with these arguments; no row where it looks at all that is left';
