-- The schema that analysts read. A view here is an interface: columns are appended, never renamed or taken away.
-- Every view and column carries a comment.

CREATE SCHEMA IF NOT EXISTS analysis;
COMMENT ON SCHEMA analysis IS 'What analysts read: citations, sentences, mentions, co-occurrences and their evidence';

CREATE FUNCTION analysis.promoted_annotator() RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT id FROM comention.annotator WHERE promoted
$$;
COMMENT ON FUNCTION analysis.promoted_annotator() IS 'Number of the annotator that the default views show';

-- Statistics of a two-by-two table of sentences: `n_pair` with both, `n_drug` and `n_condition` with each, `n` in all.

CREATE FUNCTION analysis.npmi(n_pair bigint, n_drug bigint, n_condition bigint, n bigint) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN n_pair IS NULL OR n_drug IS NULL OR n_condition IS NULL OR n IS NULL OR n = 0 THEN NULL
        WHEN n_pair = 0 THEN -1.0
        WHEN n_pair = n THEN 1.0
        ELSE ln(n_pair::double precision * n / (n_drug::double precision * n_condition))
             / -ln(n_pair::double precision / n)
    END
$$;
COMMENT ON FUNCTION analysis.npmi(bigint, bigint, bigint, bigint) IS
    'Normalised pointwise mutual information, ln(p(xy)/(p(x)p(y))) / -ln p(xy), from -1 (never together) over 0 (independent) to 1 (always together). Bouma 2009, Proceedings of GSCL';

CREATE FUNCTION analysis.log_likelihood_ratio(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN n_pair IS NULL OR n_drug IS NULL OR n_condition IS NULL OR coalesce(n, 0) = 0 THEN NULL
        ELSE greatest(0, 2 * sum(CASE WHEN o > 0 THEN o * ln(o * n / (r * c)) ELSE 0 END))
    END
    FROM (VALUES
        (n_pair::double precision, n_drug::double precision, n_condition::double precision),
        (n_drug - n_pair, n_drug, n - n_condition),
        (n_condition - n_pair, n - n_drug, n_condition),
        (n - n_drug - n_condition + n_pair, n - n_drug, n - n_condition)
    ) AS cell (o, r, c)
$$;
COMMENT ON FUNCTION analysis.log_likelihood_ratio(bigint, bigint, bigint, bigint) IS
    'G squared, 2 * sum(observed * ln(observed / expected)) over the four cells; above 3.84 the two are associated at p < 0.05. Dunning 1993, Computational Linguistics 19(1)';

CREATE VIEW analysis.citation AS
    SELECT c.pmid,
           substr(c.text, 1, c.title_length) AS title,
           substr(c.text, c.title_length + 2) AS abstract,
           coalesce(c.journal ->> 'title', c.journal ->> 'abbreviation') AS journal,
           c.published_on,
           extract(year FROM c.published_on)::integer AS year,
           c.publication_types,
           c.languages,
           c.retracted,
           c.revised_on,
           c.version::integer AS version,
           c.doi,
           c.pmc,
           c.vernacular_title,
           c.keywords,
           c.mesh,
           c.substances,
           c.corrections
    FROM comention.citation c;
COMMENT ON VIEW analysis.citation IS 'One row a PubMed citation, in its latest version';
COMMENT ON COLUMN analysis.citation.pmid IS 'PubMed identifier';
COMMENT ON COLUMN analysis.citation.title IS 'Title, inline markup kept as plain text';
COMMENT ON COLUMN analysis.citation.abstract IS 'Abstract with its section labels; empty where PubMed has none. Document offsets count from the title''s first character; one newline stands between title and abstract';
COMMENT ON COLUMN analysis.citation.journal IS 'Title of the journal, or of the book';
COMMENT ON COLUMN analysis.citation.published_on IS 'Date of publication; day and month are 1 where PubMed does not state them';
COMMENT ON COLUMN analysis.citation.year IS 'Year of publication; null where PubMed states none';
COMMENT ON COLUMN analysis.citation.publication_types IS 'PubMed''s publication types, for example {Review} or {"Case Reports"}';
COMMENT ON COLUMN analysis.citation.languages IS 'Languages of the article, three-letter codes';
COMMENT ON COLUMN analysis.citation.retracted IS 'True where the article was retracted; it then counts in no co-occurrence';
COMMENT ON COLUMN analysis.citation.revised_on IS 'When PubMed last changed the record';
COMMENT ON COLUMN analysis.citation.version IS 'PubMed''s version of the record';
COMMENT ON COLUMN analysis.citation.doi IS 'Digital object identifier';
COMMENT ON COLUMN analysis.citation.pmc IS 'PubMed Central identifier';
COMMENT ON COLUMN analysis.citation.vernacular_title IS 'Title in the article''s own language';
COMMENT ON COLUMN analysis.citation.keywords IS 'The authors'' keywords';
COMMENT ON COLUMN analysis.citation.mesh IS 'MeSH headings: name, ui, major, qualifiers';
COMMENT ON COLUMN analysis.citation.substances IS 'MeSH substances: name, ui, registry_number';
COMMENT ON COLUMN analysis.citation.corrections IS 'Links to errata, retractions and comments: kind, pmid, source';

CREATE VIEW analysis.sentence AS
    SELECT s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           s.pmid,
           s.ordinal,
           x.label AS section,
           s.start_char,
           s.end_char,
           s.text
    FROM comention.sentence s
    JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal;
COMMENT ON VIEW analysis.sentence IS 'One row a sentence of a title or abstract';
COMMENT ON COLUMN analysis.sentence.sentence_id IS 'Identifier: PMID times 100,000 plus the sentence''s ordinal';
COMMENT ON COLUMN analysis.sentence.pmid IS 'The citation it belongs to';
COMMENT ON COLUMN analysis.sentence.ordinal IS 'Position in the citation, from 0';
COMMENT ON COLUMN analysis.sentence.section IS 'TITLE, the label of a structured abstract''s section, or empty';
COMMENT ON COLUMN analysis.sentence.start_char IS 'First character in the citation''s text (title, newline, abstract), counted from 0 in Unicode code points';
COMMENT ON COLUMN analysis.sentence.end_char IS 'One past its last character in the citation''s text';
COMMENT ON COLUMN analysis.sentence.text IS 'The sentence';

CREATE VIEW analysis.mention AS
    SELECT s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           m.pmid,
           l.name AS label,
           m.start_char,
           m.end_char,
           substr(s.text, m.start_char + 1, m.end_char - m.start_char) AS text,
           n.text AS name,
           k.key AS concept,
           m.score,
           a.name AS annotator
    FROM comention.mention m
    JOIN comention.sentence s ON s.pmid = m.pmid AND s.ordinal = m.sentence_ordinal
    JOIN comention.name n ON n.id = m.name_id
    JOIN comention.label l ON l.id = n.label_id
    JOIN comention.concept k ON k.id = n.concept_id
    JOIN comention.annotator a ON a.id = m.annotator_id
    WHERE a.promoted;
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

-- The concepts are joined below the grouping, and their keys are grouped by, so that a filter on drug or condition reaches
-- the index of the counts.
CREATE VIEW analysis.cooccurrence AS
    SELECT p.drug,
           p.condition,
           p.sentence_count,
           p.citation_count,
           p.first_year,
           p.last_year,
           x.drug_sentence_count,
           y.condition_sentence_count,
           z.annotated_sentence_count,
           x.drug_sentence_count * y.condition_sentence_count / z.annotated_sentence_count::double precision
               AS expected_sentence_count,
           analysis.npmi(p.sentence_count, x.drug_sentence_count, y.condition_sentence_count,
                         z.annotated_sentence_count) AS npmi,
           analysis.log_likelihood_ratio(p.sentence_count, x.drug_sentence_count, y.condition_sentence_count,
                                         z.annotated_sentence_count) AS log_likelihood_ratio
    FROM (
        SELECT annotator_id, drug_id, condition_id, drug, condition,
               sum(sentence_count)::bigint AS sentence_count,
               sum(citation_count)::bigint AS citation_count,
               min(year) FILTER (WHERE year > 0)::integer AS first_year,
               max(year) FILTER (WHERE year > 0)::integer AS last_year
        FROM (
            SELECT part.annotator_id, part.drug_id, part.condition_id, d.key AS drug, c.key AS condition, part.year,
                   sum(part.sentence_count) AS sentence_count, sum(part.citation_count) AS citation_count
            FROM comention.cooccurrence_part part
            JOIN comention.concept d
                ON d.id = part.drug_id AND d.label_id = (SELECT id FROM comention.label WHERE name = 'Drug')
            JOIN comention.concept c
                ON c.id = part.condition_id AND c.label_id = (SELECT id FROM comention.label WHERE name = 'Condition')
            WHERE part.annotator_id = (SELECT analysis.promoted_annotator())
            GROUP BY part.annotator_id, part.drug_id, part.condition_id, d.key, c.key, part.year
            HAVING sum(part.sentence_count) <> 0 OR sum(part.citation_count) <> 0
        ) cell
        GROUP BY annotator_id, drug_id, condition_id, drug, condition
    ) p
    CROSS JOIN LATERAL (
        SELECT sum(sentence_count)::bigint AS drug_sentence_count FROM comention.cooccurrence_cell
        WHERE annotator_id = p.annotator_id AND drug_id = p.drug_id AND condition_id = 0
    ) x
    CROSS JOIN LATERAL (
        SELECT sum(sentence_count)::bigint AS condition_sentence_count FROM comention.cooccurrence_cell
        WHERE annotator_id = p.annotator_id AND drug_id = 0 AND condition_id = p.condition_id
    ) y
    CROSS JOIN (
        SELECT sum(sentence_count)::bigint AS annotated_sentence_count FROM comention.cooccurrence_cell
        WHERE annotator_id = (SELECT analysis.promoted_annotator()) AND drug_id = 0 AND condition_id = 0
    ) z;
COMMENT ON VIEW analysis.cooccurrence IS 'Drugs and conditions in the same sentence, counted over citations that are neither retracted nor deleted, by the promoted annotator';
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
COMMENT ON COLUMN analysis.cooccurrence.log_likelihood_ratio IS 'G squared over sentences; see analysis.log_likelihood_ratio';

CREATE VIEW analysis.evidence AS
    SELECT dk.key AS drug,
           ck.key AS condition,
           d.pmid,
           s.pmid::bigint * 100000 + s.ordinal AS sentence_id,
           s.text,
           d.start_char AS drug_start_char,
           d.end_char AS drug_end_char,
           c.start_char AS condition_start_char,
           c.end_char AS condition_end_char,
           d.score AS drug_score,
           c.score AS condition_score,
           x.label AS section,
           extract(year FROM a.published_on)::integer AS year,
           substr(a.text, 1, a.title_length) AS title
    FROM comention.mention d
    JOIN comention.name dn ON dn.id = d.name_id
    JOIN comention.label dl ON dl.id = dn.label_id AND dl.name = 'Drug'
    JOIN comention.concept dk ON dk.id = dn.concept_id
    JOIN comention.mention c
        ON c.pmid = d.pmid AND c.sentence_ordinal = d.sentence_ordinal AND c.annotator_id = d.annotator_id
    JOIN comention.name cn ON cn.id = c.name_id
    JOIN comention.label cl ON cl.id = cn.label_id AND cl.name = 'Condition'
    JOIN comention.concept ck ON ck.id = cn.concept_id
    JOIN comention.sentence s ON s.pmid = d.pmid AND s.ordinal = d.sentence_ordinal
    JOIN comention.section x ON x.pmid = s.pmid AND x.ordinal = s.section_ordinal
    JOIN comention.citation a ON a.pmid = d.pmid
    WHERE d.annotator_id = (SELECT analysis.promoted_annotator()) AND NOT a.retracted;
COMMENT ON VIEW analysis.evidence IS 'The sentences behind a co-occurrence: one row a pair of mentions, by the promoted annotator, without retracted citations';
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

CREATE VIEW analysis.annotator AS
    SELECT name, version, model, revision, labels, config_hash, promoted, registered_at
    FROM comention.annotator;
COMMENT ON VIEW analysis.annotator IS 'The annotators that have run on this database';
COMMENT ON COLUMN analysis.annotator.name IS 'Name by which it is called';
COMMENT ON COLUMN analysis.annotator.version IS 'Version of its code';
COMMENT ON COLUMN analysis.annotator.model IS 'Hub name or folder of its weights, or bundled';
COMMENT ON COLUMN analysis.annotator.revision IS 'Commit or digest of its weights';
COMMENT ON COLUMN analysis.annotator.labels IS 'Labels it gives';
COMMENT ON COLUMN analysis.annotator.config_hash IS 'Digest of whatever else changes its mentions';
COMMENT ON COLUMN analysis.annotator.promoted IS 'True for the one that the default views show';
COMMENT ON COLUMN analysis.annotator.registered_at IS 'When it first ran here';

CREATE VIEW analysis.ingest_run AS
    SELECT id AS run_id, kind, source, status, detail, started_at, finished_at,
           read, new, revised, unchanged, deleted, superseded, withdrawn, refused, missing, program_version
    FROM comention.ingest_run;
COMMENT ON VIEW analysis.ingest_run IS 'One row a source that was brought in; read = new + revised + unchanged + deleted + superseded + withdrawn + refused + missing';
COMMENT ON COLUMN analysis.ingest_run.run_id IS 'Number of the run';
COMMENT ON COLUMN analysis.ingest_run.kind IS 'file, query or pmids';
COMMENT ON COLUMN analysis.ingest_run.source IS 'Name of the file, the query, or the PMIDs';
COMMENT ON COLUMN analysis.ingest_run.status IS 'running, done or failed';
COMMENT ON COLUMN analysis.ingest_run.detail IS 'Why it failed';
COMMENT ON COLUMN analysis.ingest_run.started_at IS 'When it began';
COMMENT ON COLUMN analysis.ingest_run.finished_at IS 'When it ended';
COMMENT ON COLUMN analysis.ingest_run.read IS 'Records read, or PMIDs asked for';
COMMENT ON COLUMN analysis.ingest_run.new IS 'Citations stored for the first time';
COMMENT ON COLUMN analysis.ingest_run.revised IS 'Citations replaced by a newer record';
COMMENT ON COLUMN analysis.ingest_run.unchanged IS 'Records equal to what was stored';
COMMENT ON COLUMN analysis.ingest_run.deleted IS 'PMIDs that PubMed withdraws in this source';
COMMENT ON COLUMN analysis.ingest_run.superseded IS 'Records older than what is stored; see analysis.ingest_exception';
COMMENT ON COLUMN analysis.ingest_run.withdrawn IS 'Records that PubMed has withdrawn since; see analysis.ingest_exception';
COMMENT ON COLUMN analysis.ingest_run.refused IS 'Records that cannot be used; see analysis.ingest_exception';
COMMENT ON COLUMN analysis.ingest_run.missing IS 'PMIDs that NCBI did not return; see analysis.ingest_exception';
COMMENT ON COLUMN analysis.ingest_run.program_version IS 'Version of comention that read it';

CREATE VIEW analysis.ingest_exception AS
    SELECT e.run_id, r.source, e.position, e.pmid, e.outcome, e.reason,
           EXISTS (SELECT FROM comention.citation c WHERE c.pmid = e.pmid)
               OR EXISTS (SELECT FROM comention.ingest_run l
                          WHERE l.kind = r.kind AND l.source = r.source AND l.id > r.id AND l.status = 'done') AS resolved
    FROM comention.ingest_exception e
    JOIN comention.ingest_run r ON r.id = e.run_id;
COMMENT ON VIEW analysis.ingest_exception IS 'Every record that was read and not stored, with its reason, and whether that is settled by now';
COMMENT ON COLUMN analysis.ingest_exception.run_id IS 'The run, as in analysis.ingest_run';
COMMENT ON COLUMN analysis.ingest_exception.source IS 'Name of the file, the query, or the PMIDs';
COMMENT ON COLUMN analysis.ingest_exception.position IS 'Position of the record in its source, from 1';
COMMENT ON COLUMN analysis.ingest_exception.pmid IS 'PMID, where one can be seen';
COMMENT ON COLUMN analysis.ingest_exception.outcome IS 'superseded, withdrawn, refused or missing';
COMMENT ON COLUMN analysis.ingest_exception.reason IS 'Why, in a sentence';
COMMENT ON COLUMN analysis.ingest_exception.resolved IS 'True where the PMID is stored now, or a later run has read a source of this name to its end';

-- The role that analysts' own logins are members of. Roles belong to the whole cluster, so it may be there already, and
-- whoever migrates may not be allowed to create one: then the administrator does, and grants as below.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        BEGIN
            CREATE ROLE analyst NOLOGIN;
            ALTER ROLE analyst SET statement_timeout = '60s';
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'no right to create the role "analyst"; views are readable by their owner only';
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        GRANT USAGE ON SCHEMA analysis TO analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analysis TO analyst;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analysis TO analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA analysis GRANT SELECT ON TABLES TO analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA analysis GRANT EXECUTE ON FUNCTIONS TO analyst;
    END IF;
END
$$;
