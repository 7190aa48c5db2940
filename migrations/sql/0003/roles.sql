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
