-- Names as a user types them.

-- The same folding as comention.names.normalise_name, with which names are stored; a test compares the two.
DO $do$
DECLARE
    -- Case folding as Unicode has it came with Postgres 18; the lower case of before differs in letters that names hardly have.
    folded text := CASE
        WHEN pg_catalog.current_setting('server_version_num')::integer >= 180000
            THEN 'casefold(normalize(surface, NFKC) COLLATE pg_catalog.pg_unicode_fast)'
        WHEN pg_catalog.current_setting('server_version_num')::integer >= 170000
            THEN 'lower(normalize(surface, NFKC) COLLATE pg_catalog.pg_c_utf8)'
        ELSE 'lower(normalize(surface, NFKC) COLLATE pg_catalog."und-x-icu")'
    END;
BEGIN
    EXECUTE pg_catalog.format($fn$
CREATE FUNCTION analysis.normalise_name(surface text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = '' AS $$
DECLARE
    greek CONSTANT text[] := '{α,alpha,β,beta,γ,gamma,δ,delta,ε,epsilon,ζ,zeta,η,eta,θ,theta,ι,iota,κ,kappa,λ,lambda,μ,mu,ν,nu,ξ,xi,ο,omicron,π,pi,ρ,rho,σ,sigma,ς,sigma,τ,tau,υ,upsilon,φ,phi,χ,chi,ψ,psi,ω,omega}';
    name text := %s;
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
    name := pg_catalog.regexp_replace(name, $re$'s(?![[:alnum:]_])$re$, '', 'g');
    name := pg_catalog.regexp_replace(name, '\s*-\s*', '-', 'g');
    name := pg_catalog.btrim(pg_catalog.regexp_replace(name, '\s+', ' ', 'g'), ' .,;:');
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
        name := pg_catalog.btrim(pg_catalog.regexp_replace(surface, '\s+', ' ', 'g'), ' ');
    END IF;
    RETURN CASE WHEN name = '' THEN surface ELSE name END;
END
$$
    $fn$, folded);
END
$do$;
COMMENT ON FUNCTION analysis.normalise_name(text) IS
    'The name under which a spelling is stored: case, width, hyphens, Greek letters, possessives and a final plural folded';

-- The concept that a user means by a CURIE or by any spelling of a name; null where there is none.
CREATE FUNCTION comention.find_concept(of_label text, wanted text) RETURNS integer
LANGUAGE sql STABLE SET search_path = '' AS $$
    SELECT id
    FROM (
        SELECT k.id, 1 AS place
        FROM comention.concept k
        JOIN comention.label l ON l.id = k.label_id
        WHERE l.name = of_label AND k.key = wanted AND k.curie
        UNION ALL
        SELECT n.concept_id, 2
        FROM comention.name n
        JOIN comention.label l ON l.id = n.label_id
        WHERE l.name = of_label AND n.text = analysis.normalise_name(wanted)
    ) found
    ORDER BY place
    LIMIT 1
$$;
