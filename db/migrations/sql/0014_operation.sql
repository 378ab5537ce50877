-- Who may touch what of the figures; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['login_count', 'revenue_day', 'dashboard'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker USING (true) WITH CHECK (true)',
                       name);
        EXECUTE format('GRANT SELECT ON %I TO kibali_api, kibali_platform', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO kibali_worker', name);
    END LOOP;
END $$;

-- The platform's admins, in no tenant, look after the jobs of all.
CREATE POLICY platform ON job TO kibali_api USING (is_platform()) WITH CHECK (is_platform());
CREATE POLICY platform ON event TO kibali_api USING (is_platform()) WITH CHECK (is_platform());
