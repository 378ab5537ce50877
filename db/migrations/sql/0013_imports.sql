-- Who may touch what of imports; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ip_pool', 'router_import', 'router_import_row'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;

-- The API asks for an import; a job does it.
GRANT SELECT ON ip_pool, router_import, router_import_row TO kibali_api, kibali_platform;
GRANT INSERT, UPDATE ON router_import TO kibali_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON ip_pool, router_import_row TO kibali_worker;
GRANT SELECT, UPDATE ON router_import TO kibali_worker;

SELECT audit_table('router_import');
