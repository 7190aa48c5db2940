-- The views and the check as the release before had them.

DROP VIEW analysis.subscription_tick;
DROP VIEW analysis.subscription;
DROP VIEW analysis.ingest_run;

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


CREATE OR REPLACE FUNCTION comention.refuse_wrong_sentences() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
    wrong record;
BEGIN
    SELECT s.pmid, s.ordinal INTO wrong
    FROM new_rows s
    JOIN comention.citation c USING (pmid)
    WHERE s.text IS DISTINCT FROM pg_catalog.substr(c.text, s.start_char + 1, s.end_char - s.start_char)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'sentence % of PMID % is not the slice of its citation''s text that its offsets name',
            wrong.ordinal, wrong.pmid USING ERRCODE = 'check_violation', CONSTRAINT = 'sentence_is_slice';
    END IF;
    RETURN NULL;
END
$$;
