-- What whoever looks after the work watches: the workers, what is owed, what was given up.

CREATE VIEW analysis.worker AS
    SELECT w.name, w.kind, w.queues, w.concurrency, w.host, w.pid, w.state, w.doing, w.restarts, w.started_at, w.seen_at,
           w.seen_at < now() - interval '30 seconds' AS lost, w.progressed_at, w.fetched, w.annotated, w.sentences, w.failed,
           w.recent_fetched, w.recent_annotated, w.recent_sentences
    FROM comention.worker w;
COMMENT ON VIEW analysis.worker IS 'The processes that do the work, as each last said of itself; those of which nothing was heard for an hour are left out in time';
COMMENT ON COLUMN analysis.worker.name IS 'Name of the process';
COMMENT ON COLUMN analysis.worker.kind IS 'worker, or beat: the one that keeps the schedule';
COMMENT ON COLUMN analysis.worker.queues IS 'Queues that it serves';
COMMENT ON COLUMN analysis.worker.concurrency IS 'Tasks that it has room for';
COMMENT ON COLUMN analysis.worker.host IS 'The machine or container that it runs on';
COMMENT ON COLUMN analysis.worker.pid IS 'Number of its process; null while it is between two';
COMMENT ON COLUMN analysis.worker.state IS 'starting, running or stopping';
COMMENT ON COLUMN analysis.worker.doing IS 'Tasks in hand, or what its last trouble was';
COMMENT ON COLUMN analysis.worker.restarts IS 'How often its process was replaced';
COMMENT ON COLUMN analysis.worker.started_at IS 'When its process started';
COMMENT ON COLUMN analysis.worker.seen_at IS 'When it last said how it is';
COMMENT ON COLUMN analysis.worker.lost IS 'Whether nothing was heard of it for 30 seconds';
COMMENT ON COLUMN analysis.worker.progressed_at IS 'When it last committed something';
COMMENT ON COLUMN analysis.worker.fetched IS 'Citations fetched since its process started';
COMMENT ON COLUMN analysis.worker.annotated IS 'Citations annotated since then';
COMMENT ON COLUMN analysis.worker.sentences IS 'Sentences annotated since then';
COMMENT ON COLUMN analysis.worker.failed IS 'Pieces of work that failed since then';
COMMENT ON COLUMN analysis.worker.recent_fetched IS 'Citations fetched in the minute before seen_at';
COMMENT ON COLUMN analysis.worker.recent_annotated IS 'Citations annotated in that minute';
COMMENT ON COLUMN analysis.worker.recent_sentences IS 'Sentences annotated in that minute';

-- The statuses of a ledger hold for the text that was read; what is owed is comention.owed, the one definition of it.
CREATE VIEW analysis.backlog AS
    SELECT n.name AS annotator, n.id::integer AS annotator_id, n.promoted,
           coalesce(l.done, 0) AS done, coalesce(l.truncated, 0) AS truncated, coalesce(l.given_up, 0) AS given_up,
           (SELECT count(*) FROM comention.owed o WHERE o.annotator_id = n.id) AS owed,
           (SELECT count(*) FROM comention.annotation_claim k
            WHERE k.annotator_id = n.id AND k.leased_until > clock_timestamp()) AS in_hand,
           coalesce(l.mentions, 0) AS mentions, l.annotated_at AS last_annotated_at
    FROM comention.annotator n
    LEFT JOIN (
        SELECT a.annotator_id,
               count(*) FILTER (WHERE a.status = 'done') AS done,
               count(*) FILTER (WHERE a.status = 'truncated') AS truncated,
               count(*) FILTER (WHERE a.status = 'failed' AND a.attempts >= 3) AS given_up,
               sum(a.mention_count)::bigint AS mentions,
               max(a.annotated_at) AS annotated_at
        FROM comention.annotation a GROUP BY a.annotator_id
    ) l ON l.annotator_id = n.id;
COMMENT ON VIEW analysis.backlog IS 'How far each annotator is. It reads the ledger of every citation';
COMMENT ON COLUMN analysis.backlog.annotator IS 'Name of the annotator';
COMMENT ON COLUMN analysis.backlog.annotator_id IS 'Its number, as in analysis.annotator';
COMMENT ON COLUMN analysis.backlog.promoted IS 'Whether the default views show it';
COMMENT ON COLUMN analysis.backlog.done IS 'Citations that it has read to their end; some may have been revised since, and are owed too';
COMMENT ON COLUMN analysis.backlog.truncated IS 'Citations that it has read in part';
COMMENT ON COLUMN analysis.backlog.given_up IS 'Citations that failed three times and are not tried again; see analysis.quarantine';
COMMENT ON COLUMN analysis.backlog.owed IS 'Citations that it has still to read: never read, revised since, or to be tried again';
COMMENT ON COLUMN analysis.backlog.in_hand IS 'Of these, taken by workers at this moment';
COMMENT ON COLUMN analysis.backlog.mentions IS 'Mentions that it has found';
COMMENT ON COLUMN analysis.backlog.last_annotated_at IS 'When it last finished a citation';

CREATE VIEW analysis.quarantine AS
    SELECT 'annotate'::text AS stage, a.pmid, n.name AS annotator, NULL::bigint AS job_id, NULL::integer AS batch,
           a.attempts::integer AS attempts, a.annotated_at AS since, a.detail AS reason
    FROM comention.annotation a
    JOIN comention.citation c USING (pmid, content_hash)
    JOIN comention.annotator n ON n.id = a.annotator_id
    WHERE a.status = 'failed' AND a.attempts >= 3
    UNION ALL
    SELECT 'fetch', NULL, NULL, f.job_id, f.ordinal, f.attempts, f.finished_at, coalesce(f.detail, 'no reason given')
    FROM comention.fetch_batch f WHERE f.status = 'failed'
    UNION ALL
    SELECT 'job', NULL, NULL, j.id, NULL, j.attempts, j.finished_at, coalesce(j.detail, 'no reason given')
    FROM comention.job j
    WHERE j.status = 'failed' AND NOT EXISTS (SELECT FROM comention.fetch_batch f WHERE f.job_id = j.id);
COMMENT ON VIEW analysis.quarantine IS 'What was tried too often and is left for somebody to look at; comention quarantine retry lets it out';
COMMENT ON COLUMN analysis.quarantine.stage IS 'annotate (a citation), fetch (a batch of PMIDs) or job';
COMMENT ON COLUMN analysis.quarantine.pmid IS 'The citation; null for the other stages';
COMMENT ON COLUMN analysis.quarantine.annotator IS 'Name of the annotator that failed on it';
COMMENT ON COLUMN analysis.quarantine.job_id IS 'The job, as in analysis.job';
COMMENT ON COLUMN analysis.quarantine.batch IS 'Number of its batch, from 0';
COMMENT ON COLUMN analysis.quarantine.attempts IS 'How often it was tried';
COMMENT ON COLUMN analysis.quarantine.since IS 'When it was tried last';
COMMENT ON COLUMN analysis.quarantine.reason IS 'Why it failed';
