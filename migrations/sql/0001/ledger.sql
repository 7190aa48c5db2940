-- What is owed: citations that an annotator has not seen, or not in their present text, or that failed fewer than three times.
-- This is the one definition; writers, sweeps and status read it.

CREATE VIEW comention.owed AS
    SELECT n.id AS annotator_id, c.pmid, c.content_hash
    FROM comention.annotator n
    CROSS JOIN comention.citation c
    LEFT JOIN comention.annotation a ON a.pmid = c.pmid AND a.annotator_id = n.id
    WHERE a.pmid IS NULL
       OR a.content_hash <> c.content_hash
       OR (a.status = 'failed' AND a.attempts < 3);
