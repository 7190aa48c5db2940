CREATE VIEW analysis.job AS
    SELECT j.id AS job_id, j.kind, j.source, j.priority, j.status, j.detail, j.created_at, j.finished_at, j.found,
           b.batches, b.batches_done, b.batches_failed, b.fetched, j.attempts, j.failures, j.retry_at, j.worker
    FROM comention.job j
    CROSS JOIN LATERAL (
        SELECT count(*) AS batches,
               count(*) FILTER (WHERE status = 'done') AS batches_done,
               count(*) FILTER (WHERE status = 'failed') AS batches_failed,
               coalesce(sum(cardinality(pmids)) FILTER (WHERE status = 'done'), 0) AS fetched
        FROM comention.fetch_batch f WHERE f.job_id = j.id
    ) b;
COMMENT ON VIEW analysis.job IS 'What was handed in for the workers, by a user or by the schedule, and how far it is';
COMMENT ON COLUMN analysis.job.job_id IS 'Number of the job';
COMMENT ON COLUMN analysis.job.kind IS 'query, pmids, tick (of a subscription) or nightly (upkeep)';
COMMENT ON COLUMN analysis.job.source IS 'The query, the PMIDs, the subscription, or the night';
COMMENT ON COLUMN analysis.job.priority IS 'The lower goes first: 0 somebody waits for it, 9 nobody does';
COMMENT ON COLUMN analysis.job.status IS 'waiting (for its search), fetching, done (all fetched or explained) or failed';
COMMENT ON COLUMN analysis.job.detail IS 'Why it failed, or why it waits to be tried again';
COMMENT ON COLUMN analysis.job.created_at IS 'When it was handed in';
COMMENT ON COLUMN analysis.job.finished_at IS 'When it was done or given up';
COMMENT ON COLUMN analysis.job.found IS 'PMIDs that it came to; null before its search';
COMMENT ON COLUMN analysis.job.batches IS 'Batches that its PMIDs are fetched in';
COMMENT ON COLUMN analysis.job.batches_done IS 'Of them, fetched; what became of each PMID is in analysis.ingest_run and ingest_exception';
COMMENT ON COLUMN analysis.job.batches_failed IS 'Of them, given up: comention quarantine list';
COMMENT ON COLUMN analysis.job.fetched IS 'PMIDs of the batches that are done';
COMMENT ON COLUMN analysis.job.attempts IS 'How often a worker took it up';
COMMENT ON COLUMN analysis.job.failures IS 'How often that ended with an error';
COMMENT ON COLUMN analysis.job.retry_at IS 'It is not taken up before';
COMMENT ON COLUMN analysis.job.worker IS 'The worker that has it in hand, or had it last';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        GRANT SELECT ON analysis.job TO analyst;
    END IF;
END
$$;
