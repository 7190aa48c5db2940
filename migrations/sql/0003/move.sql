-- What was there, in its new form.
INSERT INTO comention.citation_mentions (pmid, annotator_id, sentence_ordinals, starts, ends, name_ids, scores)
SELECT pmid, annotator_id,
       array_agg(sentence_ordinal ORDER BY sentence_ordinal, start_char, end_char, name_id),
       array_agg(start_char ORDER BY sentence_ordinal, start_char, end_char, name_id),
       array_agg(end_char ORDER BY sentence_ordinal, start_char, end_char, name_id),
       array_agg(name_id ORDER BY sentence_ordinal, start_char, end_char, name_id),
       array_agg(score ORDER BY sentence_ordinal, start_char, end_char, name_id)
FROM comention.mention
GROUP BY pmid, annotator_id
ORDER BY pmid, annotator_id;

UPDATE comention.annotation SET counted_since = annotated_at;

INSERT INTO comention.unindexed_citation (pmid) SELECT pmid FROM comention.citation ORDER BY pmid;

INSERT INTO comention.promotion (annotator_id, promoted_at)
SELECT id, registered_at FROM comention.annotator WHERE promoted;

-- Counted anew: how many pairs a drug and a condition have was not counted before.
INSERT INTO comention.cooccurrence_total
    (annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count, pair_count, by_year)
SELECT annotator_id, drug_id, condition_id, min(nullif(year, 0)), max(nullif(year, 0)), sum(sentence_count), sum(citation_count),
       sum(pair_count),
       CASE WHEN count(*) > 1 THEN
           array_agg(ARRAY[year, sentence_count, citation_count, coalesce(pair_count, 0)]::integer[] ORDER BY year) END
FROM comention.contribution(ARRAY(SELECT pmid FROM comention.citation), NULL)
GROUP BY annotator_id, drug_id, condition_id
ORDER BY annotator_id, drug_id, condition_id;
