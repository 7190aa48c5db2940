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

-- Two names in one sentence, as a number of 24 bits; the order of the two makes no difference. A drug and a condition with ten
-- names each are a hundred pairs to look for, so what a number has by chance must be little.
CREATE FUNCTION comention.name_pair(one integer, other integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((pg_catalog.hashint4(least(one, other))::bigint * 31 + pg_catalog.hashint4(greatest(one, other))) & 16777215)::integer
$$;

-- The numbers of all names that stand in one sentence of a citation, and the blocks that it lies in, as above. The two names of a
-- rare pair may be frequent, and a question for it would otherwise have to read the citations that have both. A sentence of more
-- than 64 names would have thousands of pairs: one number beyond the others says that there is such a sentence, and every question
-- asks for it too. Nothing of ours is called here: whoever reads the table through a view plans with this function's body, and sees
-- nothing of this schema.
CREATE FUNCTION comention.pair_keys(pmid integer, sentence_ordinals integer[], name_ids integer[]) RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    blocks CONSTANT integer[] := ARRAY[-1 - (pmid >> 12 << 1), -1 - (pmid >> 16 << 1 | 1)];
    keys integer[] := blocks;
    first integer := 1;
    one integer;
    other integer;
BEGIN
    IF pg_catalog.cardinality(name_ids) <= 64 THEN  -- nearly all; the other way takes three times as long
        FOR i IN 2 .. pg_catalog.cardinality(name_ids) LOOP
            IF sentence_ordinals[i] > sentence_ordinals[first] THEN
                first := i;
            ELSIF sentence_ordinals[i] = sentence_ordinals[first] THEN
                one := name_ids[i];
                FOR j IN first .. i - 1 LOOP
                    other := name_ids[j];
                    IF one < other THEN
                        keys := keys || ((pg_catalog.hashint4(one)::bigint * 31 + pg_catalog.hashint4(other)) & 16777215)::integer;
                    ELSIF one > other THEN
                        keys := keys || ((pg_catalog.hashint4(other)::bigint * 31 + pg_catalog.hashint4(one)) & 16777215)::integer;
                    END IF;
                END LOOP;
            ELSE  -- stored mentions are in order (comention.refuse_wrong_mentions), so this is nobody's but a caller's of his own
                keys := NULL;
                EXIT;
            END IF;
        END LOOP;
        IF keys IS NOT NULL THEN
            RETURN keys;
        END IF;
    END IF;
    RETURN blocks || (
        WITH sentence AS MATERIALIZED (
            SELECT pg_catalog.array_agg(DISTINCT u.name_id) AS names
            FROM (SELECT pg_catalog.unnest(sentence_ordinals) AS ordinal, pg_catalog.unnest(name_ids) AS name_id) u
            GROUP BY u.ordinal
        )
        SELECT pg_catalog.array_agg(k.number)
        FROM (
            SELECT ((pg_catalog.hashint4(a.id)::bigint * 31 + pg_catalog.hashint4(b.id)) & 16777215)::integer AS number
            FROM sentence s
            CROSS JOIN LATERAL pg_catalog.unnest(s.names) a (id)
            CROSS JOIN LATERAL pg_catalog.unnest(s.names) b (id)
            WHERE pg_catalog.cardinality(s.names) <= 64 AND b.id > a.id
            UNION ALL
            (SELECT 16777216 FROM sentence s WHERE pg_catalog.cardinality(s.names) > 64 LIMIT 1)
        ) k
    );
END
$$;

-- The blocks that a citation lies in for full-text search, of 1,024, 16,384 and 262,144 PMIDs; the last two bits tell which.
CREATE FUNCTION comention.search_blocks(pmid integer) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ARRAY[pmid >> 10 << 2, pmid >> 14 << 2 | 1, pmid >> 18 << 2 | 2]
$$;

-- Two words side by side, as a number of 20 bits: so many that a number's list has few sentences that have it by chance, and so
-- few that the lists of rare pairs take little room in the index.
CREATE FUNCTION comention.word_pair(word text, next_word text) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((pg_catalog.hashtext(word)::bigint * 31 + pg_catalog.hashtext(next_word)) & 1048575)::integer
$$;

-- The numbers of all words that stand side by side in a document. The index of search holds them, so that a phrase of frequent
-- words is not looked for in every sentence that has them. Place and hash are one number here, which is sorted and joined in half
-- the time. Words beyond the 16,382nd of a sentence have all the same place in a document, and do not stand beside one another.
CREATE FUNCTION comention.word_pairs(document tsvector) RETURNS integer[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.array_agg(((word * 31 + next_word) & 1048575)::integer)
    FROM (
        SELECT word, pg_catalog.lead(word) OVER () AS next_word
        FROM (
            SELECT pg_catalog.unnest(u.positions)::bigint << 32 | (pg_catalog.hashtext(u.lexeme)::bigint & 4294967295) AS word
            FROM pg_catalog.unnest(document) u
            ORDER BY 1
        ) placed
    ) beside
    WHERE next_word >> 32 = (word >> 32) + 1
$$;

-- What the index can tell of a question with a phrase: the pairs of words that every match has side by side, and the other words
-- that every match has, null if there are none: those of a pair need not be looked up again. Pairs are null where there are none, or
-- where the question says "or" or "not", for what such a part asks for need not be there.
CREATE FUNCTION comention.read_phrases(wanted tsquery, OUT pairs integer[], OUT words tsquery)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH token AS MATERIALIZED (
        SELECT m[1] AS quoted, pg_catalog.replace(pg_catalog.replace(m[2], $q$''$q$, $q$'$q$), $q$\\$q$, $q$\$q$) AS word,
               m[3] AS operator, n
        FROM pg_catalog.regexp_matches(wanted::text, $re$('((?:[^']|'')*)')|([^' ]+)$re$, 'g') WITH ORDINALITY t (m, n)
    ), pair AS MATERIALIZED (
        SELECT a.n, comention.word_pair(a.word, b.word) AS number
        FROM token a
        JOIN token o ON o.n = a.n + 1 AND o.operator = '<->'
        JOIN token b ON b.n = a.n + 2 AND b.word IS NOT NULL
        WHERE a.word IS NOT NULL
    )
    SELECT pg_catalog.array_agg(DISTINCT p.number), (
        SELECT pg_catalog.string_agg(DISTINCT t.quoted, ' & ')::tsquery
        FROM token t
        WHERE t.word IS NOT NULL AND NOT EXISTS (SELECT FROM pair q WHERE t.n IN (q.n, q.n + 2))
    )
    FROM pair p
    WHERE NOT EXISTS (SELECT FROM token x WHERE x.operator ~ '[|!]')
    HAVING pg_catalog.count(*) > 0
$$;
