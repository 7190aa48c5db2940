-- What was handed in for workers and is not done is lost; what they brought stays.

DROP VIEW analysis.job;
DROP FUNCTION comention.begin_attempt(smallint, uuid, integer, integer, double precision);
DROP FUNCTION comention.claim_annotations(smallint, integer[], integer, integer, text, uuid, double precision);
