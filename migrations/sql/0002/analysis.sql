-- Columns are appended only: what read these views before reads the same.

CREATE OR REPLACE VIEW analysis.ingest_run AS
    SELECT id AS run_id, kind, source, status, detail, started_at, finished_at,
           read, new, revised, unchanged, deleted, superseded, withdrawn, refused, missing, program_version,
           coalesce(requested, read) AS requested,
           new + revised AS stored,
           superseded + withdrawn + refused AS left_out
    FROM comention.ingest_run;
COMMENT ON VIEW analysis.ingest_run IS 'One row a source that was brought in. Where it is done, requested = stored + unchanged + deleted + left_out + missing; always, read = new + revised + unchanged + deleted + superseded + withdrawn + refused + missing';
COMMENT ON COLUMN analysis.ingest_run.kind IS 'file, baseline or updates (files); query, pmids or subscription (E-utilities)';
COMMENT ON COLUMN analysis.ingest_run.source IS 'Name of the file, the query, the PMIDs, or the subscription';
COMMENT ON COLUMN analysis.ingest_run.requested IS 'Records of the file that were read, or PMIDs that were asked for';
COMMENT ON COLUMN analysis.ingest_run.stored IS 'Citations written by this run: new and revised';
COMMENT ON COLUMN analysis.ingest_run.left_out IS 'Records left out with a reason: superseded, withdrawn and refused; see analysis.ingest_exception';

CREATE VIEW analysis.subscription AS
    SELECT s.name, s.query, s.every, s.annotator, s.paused, s.created_at,
           (SELECT count(*) FROM comention.subscription_citation c
            WHERE c.subscription_id = s.id AND c.lost_at IS NULL) AS found,
           (SELECT count(*) FROM comention.subscription_citation c
            WHERE c.subscription_id = s.id AND c.lost_at IS NOT NULL) AS lost,
           t.tick AS last_tick, t.status AS last_status, t.detail AS last_detail,
           (SELECT max(d.tick) FROM comention.subscription_tick d
            WHERE d.subscription_id = s.id AND d.status = 'done') AS last_done_tick
    FROM comention.subscription s
    LEFT JOIN LATERAL (
        SELECT tick, status, detail FROM comention.subscription_tick t
        WHERE t.subscription_id = s.id ORDER BY tick DESC LIMIT 1
    ) t ON true;
COMMENT ON VIEW analysis.subscription IS 'The queries that are asked again and again, and how far each has come';
COMMENT ON COLUMN analysis.subscription.name IS 'Name by which it is called';
COMMENT ON COLUMN analysis.subscription.query IS 'What PubMed is asked';
COMMENT ON COLUMN analysis.subscription.every IS 'How often: an interval such as 6h, or a cron expression in UTC';
COMMENT ON COLUMN analysis.subscription.annotator IS 'The annotator that reads what it brings; null for the one of the settings';
COMMENT ON COLUMN analysis.subscription.paused IS 'True while it is not asked';
COMMENT ON COLUMN analysis.subscription.created_at IS 'When it was made';
COMMENT ON COLUMN analysis.subscription.found IS 'PMIDs that the query found when it was last asked';
COMMENT ON COLUMN analysis.subscription.lost IS 'PMIDs that it found before and no longer does; their citations are kept';
COMMENT ON COLUMN analysis.subscription.last_tick IS 'The last moment of its schedule that was taken up';
COMMENT ON COLUMN analysis.subscription.last_status IS 'What became of that: running, done or failed';
COMMENT ON COLUMN analysis.subscription.last_detail IS 'Why it failed';
COMMENT ON COLUMN analysis.subscription.last_done_tick IS 'The last moment of its schedule that was done to its end';

CREATE VIEW analysis.subscription_tick AS
    SELECT s.name AS subscription, t.tick, t.status, t.detail, t.started_at, t.finished_at, t.since,
           t.found, t.added, t.lost, t.found - r.requested AS known,
           r.requested, r.stored, r.new, r.revised, r.unchanged, r.deleted, r.left_out, r.missing,
           t.remarks, t.run_id
    FROM comention.subscription_tick t
    JOIN comention.subscription s ON s.id = t.subscription_id
    LEFT JOIN analysis.ingest_run r ON r.run_id = t.run_id;
COMMENT ON VIEW analysis.subscription_tick IS 'One row each time a subscription was due: found = known + requested, and requested = stored + unchanged + deleted + left_out + missing; reasons are in analysis.ingest_exception by run_id';
COMMENT ON COLUMN analysis.subscription_tick.subscription IS 'Name of the subscription';
COMMENT ON COLUMN analysis.subscription_tick.tick IS 'The moment that its schedule names';
COMMENT ON COLUMN analysis.subscription_tick.status IS 'running, done or failed';
COMMENT ON COLUMN analysis.subscription_tick.detail IS 'Why it failed';
COMMENT ON COLUMN analysis.subscription_tick.started_at IS 'When it was taken up first';
COMMENT ON COLUMN analysis.subscription_tick.finished_at IS 'When it ended';
COMMENT ON COLUMN analysis.subscription_tick.since IS 'Records that NCBI changed since that day were fetched again; null where all were';
COMMENT ON COLUMN analysis.subscription_tick.found IS 'PMIDs that the query found';
COMMENT ON COLUMN analysis.subscription_tick.added IS 'Of them, found for the first time, or again';
COMMENT ON COLUMN analysis.subscription_tick.lost IS 'PMIDs that the query found before and no longer does';
COMMENT ON COLUMN analysis.subscription_tick.known IS 'Found, stored before, and not changed since: not fetched';
COMMENT ON COLUMN analysis.subscription_tick.requested IS 'Fetched: not stored before, or changed since';
COMMENT ON COLUMN analysis.subscription_tick.stored IS 'Citations written: new and revised';
COMMENT ON COLUMN analysis.subscription_tick.new IS 'Citations stored for the first time';
COMMENT ON COLUMN analysis.subscription_tick.revised IS 'Citations replaced by a newer record';
COMMENT ON COLUMN analysis.subscription_tick.unchanged IS 'Records equal to what was stored';
COMMENT ON COLUMN analysis.subscription_tick.deleted IS 'PMIDs withdrawn; none by this way';
COMMENT ON COLUMN analysis.subscription_tick.left_out IS 'Records left out with a reason';
COMMENT ON COLUMN analysis.subscription_tick.missing IS 'PMIDs that NCBI found and did not return';
COMMENT ON COLUMN analysis.subscription_tick.remarks IS 'What NCBI remarked about the query';
COMMENT ON COLUMN analysis.subscription_tick.run_id IS 'The run, as in analysis.ingest_run';
