DROP FUNCTION analysis.partner_years(text, text, text[]);
DROP FUNCTION analysis.concepts(text, text[]);

CREATE OR REPLACE FUNCTION analysis.promoted_annotator() RETURNS smallint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
    SELECT id FROM comention.annotator WHERE promoted
$$;
COMMENT ON FUNCTION analysis.promoted_annotator() IS 'Number of the annotator that the default views show';
