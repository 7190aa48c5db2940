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

-- The sums over the pairs of a drug and of a condition were not counted before.
INSERT INTO comention.cooccurrence_delta (annotator_id, drug_id, condition_id, year, sentence_count, citation_count)
SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count
FROM comention.contribution(ARRAY(SELECT pmid FROM comention.citation), NULL)
WHERE drug_id = -1 OR condition_id = -1;

INSERT INTO comention.cooccurrence_total (annotator_id, drug_id, condition_id, sentence_count, citation_count)
SELECT annotator_id, drug_id, condition_id, sum(sentence_count), sum(citation_count)
FROM comention.cooccurrence_count
GROUP BY annotator_id, drug_id, condition_id;
