-- Who annotates what. One statement each, so that nothing is held open while a worker thinks, or is stopped.

-- Take citations that an annotator owes for a worker, until `seconds` from now: at most `at_most`, among `among` or, where that is
-- null, after the PMID `after`, in order of PMID.
--
-- What was begun before and not ended comes first and alone (`attempts` > 0): one of these may be what ended its worker, so they
-- are tried one by one, and each attempt is counted before it is made. What is new has its first attempt counted here.
CREATE FUNCTION comention.claim_annotations(
    annotator smallint, among integer[], after integer, at_most integer, by_worker text, under uuid, seconds double precision
) RETURNS TABLE (claimed_pmid integer, attempts_before smallint)
LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan
AS $$
DECLARE
    until timestamptz;
BEGIN
    -- One claimer at a time and annotator: two would choose the same citations, and one of them wait for nothing.
    PERFORM pg_advisory_xact_lock(hashtext('comention.claim'), annotator);
    until := clock_timestamp() + make_interval(secs => seconds);

    RETURN QUERY
        UPDATE comention.annotation_claim k
        SET lease = under, worker = by_worker, leased_until = until
        FROM (
            SELECT l.pmid
            FROM comention.annotation_claim l
            JOIN comention.owed o
              ON o.annotator_id = annotator AND o.pmid = l.pmid AND o.content_hash = l.content_hash
            WHERE l.annotator_id = annotator AND l.leased_until <= clock_timestamp()
              AND (among IS NULL OR l.pmid = ANY (among))
            ORDER BY l.pmid
            LIMIT at_most
            -- A worker that was stopped while it wrote may hold them still: the sweep sees to that.
            FOR UPDATE OF l SKIP LOCKED
        ) expired
        WHERE k.annotator_id = annotator AND k.pmid = expired.pmid
        RETURNING k.pmid, k.attempts;
    IF FOUND THEN
        RETURN;
    END IF;

    IF among IS NULL THEN
        RETURN QUERY
            INSERT INTO comention.annotation_claim AS k
                (pmid, annotator_id, content_hash, attempts, lease, worker, leased_until)
            SELECT o.pmid, annotator, o.content_hash, 1, under, by_worker, until
            FROM comention.owed o
            WHERE o.annotator_id = annotator AND o.pmid > after
              AND NOT EXISTS (SELECT FROM comention.annotation_claim c
                              WHERE c.pmid = o.pmid AND c.annotator_id = annotator AND c.content_hash = o.content_hash)
            ORDER BY o.pmid
            LIMIT at_most
            ON CONFLICT (pmid, annotator_id) DO UPDATE
                SET content_hash = excluded.content_hash, attempts = 1, lease = under, worker = by_worker, leased_until = until
                WHERE k.content_hash <> excluded.content_hash
            RETURNING k.pmid, 0::smallint;
    ELSE
        RETURN QUERY
            INSERT INTO comention.annotation_claim AS k
                (pmid, annotator_id, content_hash, attempts, lease, worker, leased_until)
            SELECT o.pmid, annotator, o.content_hash, 1, under, by_worker, until
            FROM comention.owed o
            WHERE o.annotator_id = annotator AND o.pmid = ANY (among)
              AND NOT EXISTS (SELECT FROM comention.annotation_claim c
                              WHERE c.pmid = o.pmid AND c.annotator_id = annotator AND c.content_hash = o.content_hash)
            ORDER BY o.pmid
            LIMIT at_most
            ON CONFLICT (pmid, annotator_id) DO UPDATE
                SET content_hash = excluded.content_hash, attempts = 1, lease = under, worker = by_worker, leased_until = until
                WHERE k.content_hash <> excluded.content_hash
            RETURNING k.pmid, 0::smallint;
    END IF;
END
$$;

-- Count an attempt at `next` before it is made, and take the suspicion from `survived`, of which a result is in hand; both under
-- the same lease. False where the lease is somebody else's by now: then the result is of no use.
CREATE FUNCTION comention.begin_attempt(
    annotator smallint, under uuid, next integer, survived integer, seconds double precision
) RETURNS boolean
LANGUAGE sql
AS $$
    WITH changed AS (
        UPDATE comention.annotation_claim k
        SET attempts = CASE WHEN k.pmid = next THEN k.attempts + 1 ELSE 1 END,
            leased_until = greatest(k.leased_until, clock_timestamp() + make_interval(secs => seconds))
        WHERE k.annotator_id = annotator AND k.lease = under AND k.pmid IN (next, survived)
        RETURNING k.pmid
    )
    SELECT count(*) = CASE WHEN next IS NULL OR survived IS NULL THEN 1 ELSE 2 END FROM changed;
$$;
