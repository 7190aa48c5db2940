-- Names as a user types them.

-- The same folding as comention.names.normalise_name, with which names are stored; a test compares the two.
-- No part of it asks the database's own collation, which may know ASCII alone: white space is spelt out as Python has it.
DO $do$
DECLARE
    version CONSTANT integer := pg_catalog.current_setting('server_version_num')::integer;
    -- Letters and cases as Unicode has them; a Postgres before 17 that was built without ICU has those of its database alone.
    letters CONSTANT text := CASE
        WHEN version >= 180000 THEN 'pg_catalog.pg_unicode_fast'
        WHEN version >= 170000 THEN 'pg_catalog.pg_c_utf8'
        WHEN EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collname = 'und-x-icu') THEN 'pg_catalog."und-x-icu"'
        ELSE 'pg_catalog."default"'
    END;
    -- Case folding came with Postgres 18. The lower case of before differs from it in polytonic Greek, and in these;
    -- with each, what it folds to.
    special CONSTANT text[] := ARRAY[
        'İ', U&'i\0307', 'ẞ', 'ss', U&'\0390', U&'\03B9\0308\0301', U&'\03B0', U&'\03C5\0308\0301', U&'\0345', U&'\03B9'];
    folded text := 'normalize(surface, NFKC)';
BEGIN
    IF version >= 180000 THEN
        folded := pg_catalog.format('casefold(%s COLLATE %s)', folded, letters);
    ELSE
        FOR i IN 1..pg_catalog.cardinality(special) BY 2 LOOP
            folded := pg_catalog.format('pg_catalog.replace(%s, %L, %L)', folded, special[i], special[i + 1]);
        END LOOP;
        folded := pg_catalog.format('lower(%s COLLATE %s)', folded, letters);
    END IF;
    EXECUTE pg_catalog.format($fn$
CREATE FUNCTION analysis.normalise_name(surface text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    greek CONSTANT text[] := '{α,alpha,β,beta,γ,gamma,δ,delta,ε,epsilon,ζ,zeta,η,eta,θ,theta,ι,iota,κ,kappa,λ,lambda,μ,mu,ν,nu,ξ,xi,ο,omicron,π,pi,ρ,rho,σ,sigma,ς,sigma,τ,tau,υ,upsilon,φ,phi,χ,chi,ψ,psi,ω,omega}';
    space CONSTANT text := '[\u0009-\u000d\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]';
    name text := %1$s;
    rest text;
    word text;
BEGIN
    name := pg_catalog.translate(name COLLATE "C",
        U&'\2010\2011\2012\2013\2014\2015\2212\FE63\2018\2019\02BC\2032`\00B4\201C\201D\201E\2033\00AD\200B\FEFF',
        '--------''''''''''''""""');
    IF name ~ '[αβγδεζηθικλμνξοπρσςτυφχψω]' THEN
        FOR i IN 1..pg_catalog.cardinality(greek) BY 2 LOOP
            name := pg_catalog.replace(name, greek[i], greek[i + 1]);
        END LOOP;
    END IF;
    name := normalize(pg_catalog.replace(name, 'ß', 'ss'), NFC);
    name := pg_catalog.regexp_replace(name COLLATE %2$s, $re$'s(?![[:alnum:]_])$re$, '', 'g');
    name := pg_catalog.regexp_replace(name, space || '*-' || space || '*', '-', 'g');
    name := pg_catalog.btrim(pg_catalog.regexp_replace(name, space || '+', ' ', 'g'), ' .,;:');
    word := pg_catalog.substring(name, '[^ -]*$');
    rest := pg_catalog.left(name, pg_catalog.length(name) - pg_catalog.length(word));
    IF pg_catalog.length(word) >= 5 AND pg_catalog.right(word, 1) = 's' AND word <> ALL ('{ascites,bias,caries,diabetes,facies,herpes,measles,mumps,pancreas,pointes,rabies,rickets,scabies,series,shingles,species,tabes}') THEN
        word := CASE
            WHEN word ~ '(i|n|r|b)oses$|metastases$|yses$' THEN pg_catalog.left(word, -2) || 'is'
            WHEN word ~ 'itides$' THEN pg_catalog.left(word, -6) || 'itis'
            WHEN word ~ '(ss|us|is|os|ics|''s)$' THEN word
            WHEN word ~ 'ies$' THEN pg_catalog.left(word, -3) || 'y'
            WHEN word ~ '(sses|shes|ches|xes)$' THEN pg_catalog.left(word, -2)
            ELSE pg_catalog.left(word, -1)
        END;
    END IF;
    name := rest || word;
    IF name = '' THEN
        name := pg_catalog.btrim(pg_catalog.regexp_replace(surface, space || '+', ' ', 'g'), ' ');
    END IF;
    RETURN CASE WHEN name = '' THEN surface ELSE name END;
END
$$
    $fn$, folded, letters);
END
$do$;
COMMENT ON FUNCTION analysis.normalise_name(text) IS
    'The name under which a spelling is stored: case, width, hyphens, Greek letters, possessives and a final plural folded';

-- The concept that a user means by a CURIE or by any spelling of a name; null where there is none.
CREATE FUNCTION comention.find_concept(of_label text, wanted text) RETURNS integer
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT coalesce(
        (SELECT k.id
         FROM comention.concept k
         JOIN comention.label l ON l.id = k.label_id
         WHERE l.name = of_label AND k.key = wanted AND k.curie),
        (SELECT n.concept_id
         FROM comention.name n
         JOIN comention.label l ON l.id = n.label_id
         WHERE l.name = of_label AND n.text = analysis.normalise_name(wanted)))
$$;
