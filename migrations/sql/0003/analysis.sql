-- The schema that analysts read, over lists of mentions and totals. Views that were there keep their columns in their
-- order; columns are appended. A view or function here is an interface.

DROP VIEW analysis.evidence;
DROP VIEW analysis.mention;
DROP VIEW analysis.sentence;

CREATE VIEW analysis.sentence AS
    SELECT s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           s.pmid,
           s.ordinal,
           x.label AS section,
           s.start_char,
           s.end_char,
           substr(c.text, s.start_char + 1, s.end_char - s.start_char) AS text,
           x.category AS section_category
    FROM comention.sentence s
    JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
    JOIN comention.citation c ON c.pmid = s.pmid;
COMMENT ON VIEW analysis.sentence IS 'One row a sentence of a title or abstract';
COMMENT ON COLUMN analysis.sentence.sentence_id IS 'Identifier: PMID times 100,000 plus the sentence''s ordinal';
COMMENT ON COLUMN analysis.sentence.pmid IS 'The citation it belongs to';
COMMENT ON COLUMN analysis.sentence.ordinal IS 'Position in the citation, from 0';
COMMENT ON COLUMN analysis.sentence.section IS 'TITLE, the label of a structured abstract''s section, or empty';
COMMENT ON COLUMN analysis.sentence.start_char IS 'First character in the citation''s text (title, newline, abstract), counted from 0 in Unicode code points';
COMMENT ON COLUMN analysis.sentence.end_char IS 'One past its last character in the citation''s text';
COMMENT ON COLUMN analysis.sentence.text IS 'The sentence';
COMMENT ON COLUMN analysis.sentence.section_category IS 'What NLM takes the section for: BACKGROUND, OBJECTIVE, METHODS, RESULTS or CONCLUSIONS; null where it says nothing';

CREATE VIEW analysis.annotator_mention AS
    SELECT s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           m.pmid,
           l.name AS label,
           u.start_char,
           u.end_char,
           substr(c.text, s.start_char + u.start_char + 1, u.end_char - u.start_char) AS text,
           n.text AS name,
           k.key AS concept,
           u.score,
           a.name AS annotator,
           a.id::integer AS annotator_id,
           a.promoted
    FROM comention.citation_mentions m
    JOIN comention.annotator a ON a.id = m.annotator_id
    CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores)
        AS u (sentence_ordinal, start_char, end_char, name_id, score)
    JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = u.sentence_ordinal
    JOIN comention.citation c ON c.pmid = m.pmid
    JOIN comention.name n ON n.id = u.name_id
    JOIN comention.label l ON l.id = n.label_id
    JOIN comention.concept k ON k.id = n.concept_id;
COMMENT ON VIEW analysis.annotator_mention IS 'One row a mention, of every annotator';
COMMENT ON COLUMN analysis.annotator_mention.sentence_id IS 'The sentence it stands in';
COMMENT ON COLUMN analysis.annotator_mention.pmid IS 'The citation it stands in';
COMMENT ON COLUMN analysis.annotator_mention.label IS 'Drug, Condition, Sequence, Cell, Protein, Gene, Taxon or Chemical';
COMMENT ON COLUMN analysis.annotator_mention.start_char IS 'First character in the sentence, counted from 0 in Unicode code points';
COMMENT ON COLUMN analysis.annotator_mention.end_char IS 'One past its last character in the sentence';
COMMENT ON COLUMN analysis.annotator_mention.text IS 'The mention as it is written';
COMMENT ON COLUMN analysis.annotator_mention.name IS 'The mention with case, hyphens, Greek letters and plural folded';
COMMENT ON COLUMN analysis.annotator_mention.concept IS 'What is meant: a CURIE such as mesh:D010770, or the name where no terminology knows it';
COMMENT ON COLUMN analysis.annotator_mention.score IS 'The annotator''s confidence, 0 to 1';
COMMENT ON COLUMN analysis.annotator_mention.annotator IS 'Name of the annotator';
COMMENT ON COLUMN analysis.annotator_mention.annotator_id IS 'Its number, as in analysis.annotator';
COMMENT ON COLUMN analysis.annotator_mention.promoted IS 'Whether the default views show it';

CREATE VIEW analysis.mention AS
    SELECT sentence_id, pmid, label, start_char, end_char, text, name, concept, score, annotator
    FROM analysis.annotator_mention
    WHERE promoted;
COMMENT ON VIEW analysis.mention IS 'One row a mention that the promoted annotator found';
COMMENT ON COLUMN analysis.mention.sentence_id IS 'The sentence it stands in';
COMMENT ON COLUMN analysis.mention.pmid IS 'The citation it stands in';
COMMENT ON COLUMN analysis.mention.label IS 'Drug, Condition, Sequence, Cell, Protein, Gene, Taxon or Chemical';
COMMENT ON COLUMN analysis.mention.start_char IS 'First character in the sentence, counted from 0 in Unicode code points';
COMMENT ON COLUMN analysis.mention.end_char IS 'One past its last character in the sentence';
COMMENT ON COLUMN analysis.mention.text IS 'The mention as it is written';
COMMENT ON COLUMN analysis.mention.name IS 'The mention with case, hyphens, Greek letters and plural folded';
COMMENT ON COLUMN analysis.mention.concept IS 'What is meant: a CURIE such as mesh:D010770, or the name where no terminology knows it';
COMMENT ON COLUMN analysis.mention.score IS 'The annotator''s confidence, 0 to 1';
COMMENT ON COLUMN analysis.mention.annotator IS 'Name of the annotator';

-- Every measure of one pair: the functions of statistics.sql with what they share computed once, and none that is not asked for.
-- Put side by side as calls they come to thousands of operations a row. Tests hold the two against each other.
CREATE FUNCTION comention.associate(
    of_drug text, of_condition text, n_pair bigint, c_pair bigint, first integer, last integer,
    n_drug bigint, n_condition bigint, n bigint, c_drug bigint, c_condition bigint, c bigint,
    w_drug bigint, w_condition bigint, w bigint
)
RETURNS TABLE (
    drug text, condition text, sentence_count bigint, citation_count bigint, first_year integer, last_year integer,
    drug_sentence_count bigint, condition_sentence_count bigint, annotated_sentence_count bigint,
    expected_sentence_count double precision, npmi double precision, log_likelihood_ratio double precision,
    drug_citation_count bigint, condition_citation_count bigint, annotated_citation_count bigint,
    pmi double precision, signed_log_likelihood_ratio double precision, chi_square_yates double precision,
    odds_ratio double precision, odds_ratio_low double precision, odds_ratio_high double precision,
    proportional_reporting_ratio double precision, proportional_reporting_ratio_low double precision,
    proportional_reporting_ratio_high double precision,
    reporting_odds_ratio double precision, reporting_odds_ratio_low double precision,
    reporting_odds_ratio_high double precision,
    information_component double precision, information_component_low double precision,
    information_component_high double precision,
    cooccurrence_score double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9,
           u.e,
           CASE WHEN t.a = 0 THEN -1 WHEN t.a = t.n THEN 1 ELSE u.together / -ln(t.a / t.n) END,
           u.g2,
           $10, $11, $12,
           CASE WHEN t.a > 0 THEN u.together / ln(2::float8) END,
           sign(t.a - u.e) * u.g2,
           CASE WHEN t.compared THEN
               greatest(0, abs(t.a - u.e) - 0.5::float8) ^ 2 * (t.n / t.r) * (t.n / t.k) * (t.n / t.not_r) / t.not_k END,
           u.odds_ratio, u.odds_ratio * exp(-1.959963984540054::float8 * u.odds_error),
           u.odds_ratio * exp(1.959963984540054::float8 * u.odds_error),
           u.prr, u.prr * exp(-1.959963984540054::float8 * u.prr_error), u.prr * exp(1.959963984540054::float8 * u.prr_error),
           u.odds_ratio, u.odds_ratio * exp(-1.959963984540054::float8 * u.odds_error),
           u.odds_ratio * exp(1.959963984540054::float8 * u.odds_error),
           u.ic,
           u.ic - 3.3::float8 / sqrt(t.a + 0.5::float8) - 2 / (t.a + 0.5::float8) ^ 1.5::float8,
           u.ic + 2.4::float8 / sqrt(t.a + 0.5::float8) - 0.5::float8 / (t.a + 0.5::float8) ^ 1.5::float8,
           analysis.cooccurrence_score(
               analysis.cooccurrence_weight($4, $4), analysis.cooccurrence_weight($13, $13),
               analysis.cooccurrence_weight($14, $14), analysis.cooccurrence_weight($15, $15))
    FROM (
        -- The table: a, b, c, d its cells; r, k the sums of its first row and column. Null where it is none.
        SELECT CASE WHEN v.valid THEN $3::float8 END AS a, CASE WHEN v.valid THEN $9::float8 END AS n,
               ($7 - $3)::float8 AS b, ($8 - $3)::float8 AS c, (($9 - $7) - ($8 - $3))::float8 AS d,
               $7::float8 AS r, $8::float8 AS k, ($9 - $7)::float8 AS not_r, ($9 - $8)::float8 AS not_k,
               v.valid AND $7 > 0 AND $7 < $9 AND $8 > 0 AND $8 < $9 AS compared,
               v.valid AND least($3, $7 - $3, $8 - $3, ($9 - $7) - ($8 - $3)) > 0 AS full_table
        FROM (SELECT analysis.is_two_by_two($3, $7, $8, $9) AS valid OFFSET 0) v
        OFFSET 0
    ) t
    CROSS JOIN LATERAL (
        SELECT t.r * t.k / t.n AS e,
               CASE WHEN t.a > 0 THEN ln(t.a * t.n / (t.r * t.k)) END AS together,
               CASE WHEN t.n > 0 THEN greatest(0, 2 * (
                   CASE WHEN t.a > 0 THEN t.a * ln(t.a * t.n / (t.r * t.k)) ELSE 0 END
                   + CASE WHEN t.b > 0 THEN t.b * ln(t.b * t.n / (t.r * t.not_k)) ELSE 0 END
                   + CASE WHEN t.c > 0 THEN t.c * ln(t.c * t.n / (t.not_r * t.k)) ELSE 0 END
                   + CASE WHEN t.d > 0 THEN t.d * ln(t.d * t.n / (t.not_r * t.not_k)) ELSE 0 END)) END AS g2,
               CASE WHEN NOT t.compared THEN NULL WHEN t.full_table THEN t.a / t.b * t.d / t.c
                    ELSE (t.a + 0.5::float8) / (t.b + 0.5::float8) * (t.d + 0.5::float8) / (t.c + 0.5::float8) END AS odds_ratio,
               CASE WHEN NOT t.compared THEN NULL WHEN t.full_table THEN sqrt(1 / t.a + 1 / t.b + 1 / t.c + 1 / t.d)
                    ELSE sqrt(1 / (t.a + 0.5::float8) + 1 / (t.b + 0.5::float8)
                              + 1 / (t.c + 0.5::float8) + 1 / (t.d + 0.5::float8)) END AS odds_error,
               CASE WHEN NOT t.compared THEN NULL WHEN t.a > 0 AND t.c > 0 THEN t.a / t.r * t.not_r / t.c
                    ELSE (t.a + 0.5::float8) / (t.r + 1::float8) * (t.not_r + 1::float8) / (t.c + 0.5::float8) END AS prr,
               CASE WHEN NOT t.compared THEN NULL
                    WHEN t.a > 0 AND t.c > 0 THEN sqrt(greatest(0, 1 / t.a - 1 / t.r + 1 / t.c - 1 / t.not_r))
                    ELSE sqrt(greatest(0, 1 / (t.a + 0.5::float8) - 1 / (t.r + 1::float8)
                                          + 1 / (t.c + 0.5::float8) - 1 / (t.not_r + 1::float8))) END AS prr_error,
               ln((t.a + 0.5::float8) / (t.r * t.k / t.n + 0.5::float8)) / ln(2::float8) AS ic
        OFFSET 0
    ) u
$$;

-- The concepts are joined below the grouping, and their keys are grouped by, so that a filter on drug or condition reaches
-- the index of the counts.
CREATE VIEW analysis.cooccurrence AS
    SELECT a.*
    FROM (
        SELECT part.annotator_id, part.drug_id, part.condition_id, d.key AS drug, k.key AS condition,
               sum(part.sentence_count)::bigint AS sentence_count, sum(part.citation_count)::bigint AS citation_count
        FROM comention.cooccurrence_total_part part
        JOIN comention.concept d ON d.id = part.drug_id
        JOIN comention.concept k ON k.id = part.condition_id
        WHERE part.annotator_id = (SELECT analysis.promoted_annotator()) AND part.drug_id > 0 AND part.condition_id > 0
        GROUP BY part.annotator_id, part.drug_id, part.condition_id, d.key, k.key
        HAVING sum(part.sentence_count) <> 0 OR sum(part.citation_count) <> 0
    ) p
    CROSS JOIN LATERAL (
        SELECT min(year) AS first_year, max(year) AS last_year
        FROM (
            SELECT y.year::integer AS year FROM comention.cooccurrence_part y
            WHERE y.annotator_id = p.annotator_id AND y.drug_id = p.drug_id AND y.condition_id = p.condition_id AND y.year > 0
            GROUP BY y.year
            HAVING sum(y.sentence_count) <> 0 OR sum(y.citation_count) <> 0
        ) cell
    ) years
    CROSS JOIN LATERAL (
        SELECT sum(sentence_count)::bigint AS n, sum(citation_count)::bigint AS c, sum(pair_count)::bigint AS w
        FROM comention.cooccurrence_total_part
        WHERE annotator_id = p.annotator_id AND drug_id = p.drug_id AND condition_id = 0
    ) x
    CROSS JOIN LATERAL (
        SELECT sum(sentence_count)::bigint AS n, sum(citation_count)::bigint AS c, sum(pair_count)::bigint AS w
        FROM comention.cooccurrence_total_part
        WHERE annotator_id = p.annotator_id AND drug_id = 0 AND condition_id = p.condition_id
    ) y
    CROSS JOIN (
        SELECT sum(sentence_count)::bigint AS n, sum(citation_count)::bigint AS c, sum(pair_count)::bigint AS w
        FROM comention.cooccurrence_total_part
        WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND drug_id = 0 AND condition_id = 0
    ) z
    CROSS JOIN LATERAL comention.associate(
        p.drug, p.condition, p.sentence_count, p.citation_count, years.first_year, years.last_year,
        x.n, y.n, z.n, x.c, y.c, z.c, x.w, y.w, z.w
    ) a;
COMMENT ON VIEW analysis.cooccurrence IS 'Drugs and conditions in the same sentence, counted over citations that are neither retracted nor deleted, by the promoted annotator. For the first few partners of a drug or a condition, analysis.top_conditions and analysis.top_drugs are faster';
COMMENT ON COLUMN analysis.cooccurrence.drug IS 'Concept of the drug';
COMMENT ON COLUMN analysis.cooccurrence.condition IS 'Concept of the condition: a disease, a symptom or an adverse effect';
COMMENT ON COLUMN analysis.cooccurrence.sentence_count IS 'Sentences that mention both';
COMMENT ON COLUMN analysis.cooccurrence.citation_count IS 'Citations with at least one such sentence';
COMMENT ON COLUMN analysis.cooccurrence.first_year IS 'Year of the earliest such citation';
COMMENT ON COLUMN analysis.cooccurrence.last_year IS 'Year of the latest such citation';
COMMENT ON COLUMN analysis.cooccurrence.drug_sentence_count IS 'Sentences that mention the drug';
COMMENT ON COLUMN analysis.cooccurrence.condition_sentence_count IS 'Sentences that mention the condition';
COMMENT ON COLUMN analysis.cooccurrence.annotated_sentence_count IS 'Sentences that were annotated';
COMMENT ON COLUMN analysis.cooccurrence.expected_sentence_count IS 'Sentences expected to mention both if drug and condition were independent';
COMMENT ON COLUMN analysis.cooccurrence.npmi IS 'Normalised pointwise mutual information over sentences, -1 to 1; see analysis.npmi';
COMMENT ON COLUMN analysis.cooccurrence.log_likelihood_ratio IS 'G squared over sentences, high for pairs that are rarer than expected too; see analysis.log_likelihood_ratio';
COMMENT ON COLUMN analysis.cooccurrence.drug_citation_count IS 'Citations that mention the drug';
COMMENT ON COLUMN analysis.cooccurrence.condition_citation_count IS 'Citations that mention the condition';
COMMENT ON COLUMN analysis.cooccurrence.annotated_citation_count IS 'Citations that were annotated';
COMMENT ON COLUMN analysis.cooccurrence.pmi IS 'Pointwise mutual information over sentences, in bits; see analysis.pmi';
COMMENT ON COLUMN analysis.cooccurrence.signed_log_likelihood_ratio IS 'G squared over sentences, negative where the pair is rarer than expected; see analysis.signed_log_likelihood_ratio';
COMMENT ON COLUMN analysis.cooccurrence.chi_square_yates IS 'Chi square over sentences with Yates'' correction; see analysis.chi_square_yates';
COMMENT ON COLUMN analysis.cooccurrence.odds_ratio IS 'Odds ratio over sentences; see analysis.odds_ratio';
COMMENT ON COLUMN analysis.cooccurrence.odds_ratio_low IS 'Lower limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.odds_ratio_high IS 'Upper limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.proportional_reporting_ratio IS 'Proportional reporting ratio over sentences; see analysis.proportional_reporting_ratio';
COMMENT ON COLUMN analysis.cooccurrence.proportional_reporting_ratio_low IS 'Lower limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.proportional_reporting_ratio_high IS 'Upper limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.reporting_odds_ratio IS 'Reporting odds ratio over sentences; see analysis.reporting_odds_ratio';
COMMENT ON COLUMN analysis.cooccurrence.reporting_odds_ratio_low IS 'Lower limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.reporting_odds_ratio_high IS 'Upper limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.information_component IS 'Information component over sentences, shrunk towards 0; see analysis.information_component';
COMMENT ON COLUMN analysis.cooccurrence.information_component_low IS 'IC025, lower limit of its 95 % interval: above 0, the pair is together more often than expected';
COMMENT ON COLUMN analysis.cooccurrence.information_component_high IS 'IC975, upper limit of its 95 % interval';
COMMENT ON COLUMN analysis.cooccurrence.cooccurrence_score IS 'Text-mining score of STRING over citations; see analysis.cooccurrence_score';

CREATE VIEW analysis.cooccurrence_year AS
    SELECT d.key AS drug, k.key AS condition, part.year::integer AS year,
           sum(part.sentence_count)::bigint AS sentence_count, sum(part.citation_count)::bigint AS citation_count
    FROM comention.cooccurrence_part part
    JOIN comention.concept d ON d.id = part.drug_id
    JOIN comention.concept k ON k.id = part.condition_id
    WHERE part.annotator_id = (SELECT analysis.promoted_annotator()) AND part.year > 0
      AND part.drug_id > 0 AND part.condition_id > 0
    GROUP BY part.drug_id, part.condition_id, d.key, k.key, part.year
    HAVING sum(part.sentence_count) <> 0 OR sum(part.citation_count) <> 0;
COMMENT ON VIEW analysis.cooccurrence_year IS 'Co-occurrences by the year of publication; what PubMed gives no year for is left out';
COMMENT ON COLUMN analysis.cooccurrence_year.drug IS 'Concept of the drug';
COMMENT ON COLUMN analysis.cooccurrence_year.condition IS 'Concept of the condition';
COMMENT ON COLUMN analysis.cooccurrence_year.year IS 'Year of publication';
COMMENT ON COLUMN analysis.cooccurrence_year.sentence_count IS 'Sentences that mention both';
COMMENT ON COLUMN analysis.cooccurrence_year.citation_count IS 'Citations with at least one such sentence';

CREATE VIEW analysis.drug AS
    SELECT k.key AS concept, k.preferred_name,
           (SELECT array_agg(n.text ORDER BY n.text) FROM comention.name n WHERE n.concept_id = k.id) AS names,
           m.sentence_count, m.citation_count
    FROM (
        SELECT drug_id, sum(sentence_count)::bigint AS sentence_count, sum(citation_count)::bigint AS citation_count
        FROM comention.cooccurrence_total_part
        WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND condition_id = 0 AND drug_id > 0
        GROUP BY drug_id
        HAVING sum(sentence_count) <> 0
    ) m
    JOIN comention.concept k ON k.id = m.drug_id;
COMMENT ON VIEW analysis.drug IS 'One row a drug that the promoted annotator found in a citation that is neither retracted nor deleted';
COMMENT ON COLUMN analysis.drug.concept IS 'A CURIE, or the name where no terminology knows it; as in analysis.cooccurrence.drug';
COMMENT ON COLUMN analysis.drug.preferred_name IS 'What the terminology calls it; null where none knows it';
COMMENT ON COLUMN analysis.drug.names IS 'The names that stand for it';
COMMENT ON COLUMN analysis.drug.sentence_count IS 'Sentences that mention it';
COMMENT ON COLUMN analysis.drug.citation_count IS 'Citations that mention it';

CREATE VIEW analysis.condition AS
    SELECT k.key AS concept, k.preferred_name,
           (SELECT array_agg(n.text ORDER BY n.text) FROM comention.name n WHERE n.concept_id = k.id) AS names,
           m.sentence_count, m.citation_count
    FROM (
        SELECT condition_id, sum(sentence_count)::bigint AS sentence_count, sum(citation_count)::bigint AS citation_count
        FROM comention.cooccurrence_total_part
        WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND drug_id = 0 AND condition_id > 0
        GROUP BY condition_id
        HAVING sum(sentence_count) <> 0
    ) m
    JOIN comention.concept k ON k.id = m.condition_id;
COMMENT ON VIEW analysis.condition IS 'One row a condition that the promoted annotator found in a citation that is neither retracted nor deleted';
COMMENT ON COLUMN analysis.condition.concept IS 'A CURIE, or the name where no terminology knows it; as in analysis.cooccurrence.condition';
COMMENT ON COLUMN analysis.condition.preferred_name IS 'What the terminology calls it; null where none knows it';
COMMENT ON COLUMN analysis.condition.names IS 'The names that stand for it';
COMMENT ON COLUMN analysis.condition.sentence_count IS 'Sentences that mention it';
COMMENT ON COLUMN analysis.condition.citation_count IS 'Citations that mention it';

CREATE VIEW analysis.evidence AS
    SELECT dk.key AS drug,
           ck.key AS condition,
           m.pmid,
           s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           substr(a.text, s.start_char + 1, s.end_char - s.start_char) AS text,
           d.start_char AS drug_start_char,
           d.end_char AS drug_end_char,
           c.start_char AS condition_start_char,
           c.end_char AS condition_end_char,
           d.score AS drug_score,
           c.score AS condition_score,
           x.label AS section,
           extract(year FROM a.published_on)::integer AS year,
           substr(a.text, 1, a.title_length) AS title
    FROM comention.citation_mentions m
    JOIN comention.citation a ON a.pmid = m.pmid
    CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores)
        AS d (sentence_ordinal, start_char, end_char, name_id, score)
    CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids, m.scores)
        AS c (sentence_ordinal, start_char, end_char, name_id, score)
    JOIN comention.name dn ON dn.id = d.name_id AND comention.mention_keys(m.pmid, m.name_ids) @> ARRAY[dn.id]
    JOIN comention.label dl ON dl.id = dn.label_id AND dl.name = 'Drug'
    JOIN comention.concept dk ON dk.id = dn.concept_id
    JOIN comention.name cn ON cn.id = c.name_id AND comention.mention_keys(m.pmid, m.name_ids) @> ARRAY[cn.id]
    JOIN comention.label cl ON cl.id = cn.label_id AND cl.name = 'Condition'
    JOIN comention.concept ck ON ck.id = cn.concept_id
    JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = d.sentence_ordinal
    JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
    WHERE c.sentence_ordinal = d.sentence_ordinal
      AND m.annotator_id = (SELECT analysis.promoted_annotator()) AND NOT a.retracted;
COMMENT ON VIEW analysis.evidence IS 'The sentences behind a co-occurrence: one row a pair of mentions, by the promoted annotator, without retracted citations. For the newest few of a pair, the function analysis.evidence is faster';
COMMENT ON COLUMN analysis.evidence.drug IS 'Concept of the drug';
COMMENT ON COLUMN analysis.evidence.condition IS 'Concept of the condition';
COMMENT ON COLUMN analysis.evidence.pmid IS 'The citation';
COMMENT ON COLUMN analysis.evidence.sentence_id IS 'The sentence, as in analysis.sentence';
COMMENT ON COLUMN analysis.evidence.text IS 'The sentence''s text';
COMMENT ON COLUMN analysis.evidence.drug_start_char IS 'First character of the drug in the sentence, counted from 0';
COMMENT ON COLUMN analysis.evidence.drug_end_char IS 'One past the drug''s last character';
COMMENT ON COLUMN analysis.evidence.condition_start_char IS 'First character of the condition in the sentence, counted from 0';
COMMENT ON COLUMN analysis.evidence.condition_end_char IS 'One past the condition''s last character';
COMMENT ON COLUMN analysis.evidence.drug_score IS 'The annotator''s confidence in the drug, 0 to 1';
COMMENT ON COLUMN analysis.evidence.condition_score IS 'The annotator''s confidence in the condition, 0 to 1';
COMMENT ON COLUMN analysis.evidence.section IS 'Section of the sentence, as in analysis.sentence';
COMMENT ON COLUMN analysis.evidence.year IS 'Year of publication';
COMMENT ON COLUMN analysis.evidence.title IS 'Title of the citation';

-- A view reads tables as its owner, but a function in it does so as whoever asks, unless it says otherwise.
CREATE FUNCTION comention.contribution_of_retracted()
RETURNS TABLE (annotator_id smallint, pmid integer, drug_id integer, condition_id integer, sentence_count integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT annotator_id, pmid, drug_id, condition_id, sentence_count
    FROM comention.citation_contribution(
        ARRAY(SELECT pmid FROM comention.citation WHERE retracted), (SELECT analysis.promoted_annotator()), true)
$$;

CREATE VIEW analysis.retraction_impact AS
    SELECT d.key AS drug, k.key AS condition, lost.pmid,
           substr(c.text, 1, c.title_length) AS title,
           (SELECT x ->> 'pmid' FROM jsonb_array_elements(c.corrections) x
            WHERE x ->> 'kind' ILIKE 'retraction%in' LIMIT 1)::integer AS retracted_by,
           (SELECT max(p.counted_until) FROM comention.past_contribution p
            WHERE p.pmid = lost.pmid AND p.annotator_id = lost.annotator_id AND p.reason = 'retraction') AS counted_until,
           lost.sentence_count AS lost_sentence_count,
           coalesce(now_.sentence_count, 0)::bigint AS sentence_count,
           coalesce(now_.citation_count, 0)::bigint AS citation_count
    FROM comention.contribution_of_retracted() lost
    JOIN comention.citation c ON c.pmid = lost.pmid
    JOIN comention.concept d ON d.id = lost.drug_id
    JOIN comention.concept k ON k.id = lost.condition_id
    CROSS JOIN LATERAL (
        SELECT sum(p.sentence_count) AS sentence_count, sum(p.citation_count) AS citation_count
        FROM comention.cooccurrence_total_part p
        WHERE p.annotator_id = lost.annotator_id AND p.drug_id = lost.drug_id AND p.condition_id = lost.condition_id
    ) now_;
COMMENT ON VIEW analysis.retraction_impact IS 'Pairs that lost support because a citation was retracted, and which one: one row a pair and retracted citation';
COMMENT ON COLUMN analysis.retraction_impact.drug IS 'Concept of the drug';
COMMENT ON COLUMN analysis.retraction_impact.condition IS 'Concept of the condition';
COMMENT ON COLUMN analysis.retraction_impact.pmid IS 'The retracted citation';
COMMENT ON COLUMN analysis.retraction_impact.title IS 'Its title';
COMMENT ON COLUMN analysis.retraction_impact.retracted_by IS 'PMID of the notice of retraction, where PubMed names it';
COMMENT ON COLUMN analysis.retraction_impact.counted_until IS 'When its sentences ceased to count; null where it was retracted before it was annotated';
COMMENT ON COLUMN analysis.retraction_impact.lost_sentence_count IS 'Its sentences that mention both, which do not count';
COMMENT ON COLUMN analysis.retraction_impact.sentence_count IS 'Sentences that mention both and count, as in analysis.cooccurrence; 0 where the pair has no support left';
COMMENT ON COLUMN analysis.retraction_impact.citation_count IS 'Citations that count for the pair';

CREATE VIEW analysis.coverage AS
    SELECT known.pmid,
           CASE
               WHEN c.pmid IS NULL AND w.pmid IS NOT NULL THEN 'withdrawn'
               WHEN c.pmid IS NULL AND e.outcome IS NOT NULL THEN e.outcome
               WHEN c.pmid IS NULL THEN 'expected'
               WHEN n.id IS NULL THEN 'stored'
               WHEN a.pmid IS NULL OR a.content_hash <> c.content_hash THEN 'stored'
               WHEN a.status = 'done' THEN 'annotated'
               ELSE a.status
           END AS state,
           CASE
               WHEN c.pmid IS NULL AND w.pmid IS NOT NULL THEN 'PubMed has withdrawn it (DeleteCitation)'
               WHEN c.pmid IS NULL AND e.reason IS NOT NULL THEN e.reason
               WHEN c.pmid IS NULL THEN 'a subscription found it, and it is not fetched yet'
               WHEN n.id IS NULL THEN 'no annotator has run yet'
               WHEN a.pmid IS NULL THEN 'not annotated yet'
               WHEN a.content_hash <> c.content_hash THEN 'revised since it was annotated'
               ELSE a.detail
           END AS reason,
           c.pmid IS NOT NULL AS stored,
           coalesce(c.retracted, false) AS retracted,
           CASE WHEN a.content_hash = c.content_hash THEN a.mention_count END AS mention_count,
           n.name AS annotator,
           ARRAY(SELECT s.name FROM comention.subscription_citation f JOIN comention.subscription s ON s.id = f.subscription_id
                 WHERE f.pmid = known.pmid ORDER BY s.name) AS subscriptions
    FROM (
        SELECT pmid FROM comention.citation
        UNION SELECT pmid FROM comention.deleted_citation
        UNION SELECT pmid FROM comention.subscription_citation
        UNION SELECT pmid FROM comention.ingest_exception WHERE pmid IS NOT NULL
    ) known
    LEFT JOIN comention.citation c ON c.pmid = known.pmid
    LEFT JOIN comention.deleted_citation w ON w.pmid = known.pmid
    LEFT JOIN LATERAL (
        SELECT x.outcome, x.reason FROM comention.ingest_exception x
        WHERE x.pmid = known.pmid ORDER BY x.run_id DESC, x.position DESC LIMIT 1
    ) e ON true
    LEFT JOIN comention.annotator n ON n.promoted
    LEFT JOIN comention.annotation a ON a.pmid = known.pmid AND a.annotator_id = n.id;
COMMENT ON VIEW analysis.coverage IS 'What became of every PMID that was ever asked for, read or withdrawn, for the promoted annotator';
COMMENT ON COLUMN analysis.coverage.pmid IS 'PubMed identifier';
COMMENT ON COLUMN analysis.coverage.state IS 'annotated, truncated (in part), failed, stored (not annotated in its present text), expected (not fetched yet), refused, missing, superseded or withdrawn';
COMMENT ON COLUMN analysis.coverage.reason IS 'Why it is not annotated, in a sentence; null where it is';
COMMENT ON COLUMN analysis.coverage.stored IS 'Whether its citation is stored';
COMMENT ON COLUMN analysis.coverage.retracted IS 'Whether it was retracted; it then counts in no co-occurrence';
COMMENT ON COLUMN analysis.coverage.mention_count IS 'Mentions found in its present text';
COMMENT ON COLUMN analysis.coverage.annotator IS 'The promoted annotator';
COMMENT ON COLUMN analysis.coverage.subscriptions IS 'The subscriptions that have found it';

-- Names are interned, so two mentions of one span and one label have one name, and equal rows are equal mentions.
CREATE VIEW analysis.annotator_agreement AS
    SELECT a.name AS annotator_a, a.version AS version_a, b.name AS annotator_b, b.version AS version_b, l.name AS label,
           count(*) FILTER (WHERE pair.in_a AND pair.in_b) AS agreeing,
           count(*) FILTER (WHERE NOT pair.in_b) AS only_a,
           count(*) FILTER (WHERE NOT pair.in_a) AS only_b
    FROM comention.annotator a
    JOIN comention.annotator b ON b.id > a.id
    JOIN comention.annotation la ON la.annotator_id = a.id
    JOIN comention.annotation lb ON lb.annotator_id = b.id AND lb.pmid = la.pmid AND lb.content_hash = la.content_hash
    CROSS JOIN LATERAL (
        SELECT coalesce(ma.name_id, mb.name_id) AS name_id, ma.name_id IS NOT NULL AS in_a, mb.name_id IS NOT NULL AS in_b
        FROM (
            SELECT u.* FROM comention.citation_mentions m
            CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids) AS u (ordinal, s, e, name_id)
            WHERE m.pmid = la.pmid AND m.annotator_id = la.annotator_id
        ) ma
        FULL JOIN (
            SELECT u.* FROM comention.citation_mentions m
            CROSS JOIN LATERAL unnest(m.sentence_ordinals, m.starts, m.ends, m.name_ids) AS u (ordinal, s, e, name_id)
            WHERE m.pmid = lb.pmid AND m.annotator_id = lb.annotator_id
        ) mb USING (ordinal, s, e, name_id)
    ) pair
    JOIN comention.name n ON n.id = pair.name_id
    JOIN comention.label l ON l.id = n.label_id
    GROUP BY a.id, b.id, l.name;
COMMENT ON VIEW analysis.annotator_agreement IS 'Two annotators over the same texts, mention by mention: one row a pair of annotators and a label. It reads every mention of both';
COMMENT ON COLUMN analysis.annotator_agreement.annotator_a IS 'Name of the one that was registered first';
COMMENT ON COLUMN analysis.annotator_agreement.version_a IS 'Its version';
COMMENT ON COLUMN analysis.annotator_agreement.annotator_b IS 'Name of the other';
COMMENT ON COLUMN analysis.annotator_agreement.version_b IS 'Its version';
COMMENT ON COLUMN analysis.annotator_agreement.label IS 'The label';
COMMENT ON COLUMN analysis.annotator_agreement.agreeing IS 'Mentions with the same span and label from both';
COMMENT ON COLUMN analysis.annotator_agreement.only_a IS 'Mentions of the first that the other does not have';
COMMENT ON COLUMN analysis.annotator_agreement.only_b IS 'Mentions of the other that the first does not have';

CREATE OR REPLACE VIEW analysis.annotator AS
    SELECT name, version, model, revision, labels, config_hash, promoted, registered_at, id::integer AS annotator_id
    FROM comention.annotator;
COMMENT ON COLUMN analysis.annotator.annotator_id IS 'Its number in this database: later ones of a name have higher numbers';

CREATE VIEW analysis.promotion AS
    SELECT a.name AS annotator, a.version, p.promoted_at
    FROM comention.promotion p
    JOIN comention.annotator a ON a.id = p.annotator_id;
COMMENT ON VIEW analysis.promotion IS 'Which annotator the default views have shown, since when';
COMMENT ON COLUMN analysis.promotion.annotator IS 'Name of the annotator';
COMMENT ON COLUMN analysis.promotion.version IS 'Its version';
COMMENT ON COLUMN analysis.promotion.promoted_at IS 'When it was promoted';
