-- What the indexes over lists of mentions and over sentences hold. Not STRICT, or the planner would not put them in place of
-- the call, and calling them takes longer than what they do.

CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- The keys of a citation's mentions: its names, and, as negative numbers, the blocks of 4,096 and of 65,536 PMIDs that it lies in;
-- the last bit tells which. A question for the newest sentences of a frequent pair asks block by block, and reads no more of the
-- long lists than it needs; of many small blocks the index would compare each with all others.
CREATE FUNCTION comention.mention_keys(pmid integer, name_ids integer[]) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT name_ids || ARRAY[-1 - (pmid >> 12 << 1), -1 - (pmid >> 16 << 1 | 1)]
$$;

-- The blocks that a citation lies in for full-text search, of 1,024, 16,384 and 262,144 PMIDs; the last two bits tell which.
CREATE FUNCTION comention.search_blocks(pmid integer) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[pmid >> 10 << 2, pmid >> 14 << 2 | 1, pmid >> 18 << 2 | 2]
$$;
