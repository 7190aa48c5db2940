-- What the indexes over lists of mentions and over sentences hold. Not STRICT, or the planner would not put them in place of
-- the call, and calling them takes longer than what they do.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The keys of a citation's mentions: its names, and, as a negative number, the block of 32,768 PMIDs that it lies in. A question
-- for the newest sentences of a frequent pair asks block by block, and reads no more of the long lists than it needs.
CREATE FUNCTION comention.mention_keys(pmid integer, name_ids integer[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT name_ids || (-1 - (pmid >> 15))
$$;

-- The same for words: blocks of 2,048 PMIDs, as a lexeme that no text has.
CREATE FUNCTION comention.search_document(pmid integer, sentence text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.english', sentence) || array_to_tsvector(ARRAY['#' || (pmid >> 11)])
$$;
