-- Analysts read all of the schema, and nothing else. Where the role cannot be had, its administrator grants as below.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'analyst') THEN
        GRANT USAGE ON SCHEMA analysis TO analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analysis TO analyst;
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analysis TO analyst;
    END IF;
END
$$;

-- Trigrams live where the extension was created; nothing else on the path of whoever calls may stand for their operators.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION analysis.suggest(text, integer, text) SET search_path = pg_catalog, %I, pg_temp',
        (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'));
END
$$;
