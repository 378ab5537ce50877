-- Who may touch what of a router's configuration; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['router_discovery', 'router_service_config', 'router_deployment',
                                'router_deployment_step'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;

-- The API says what is to be served and asks for a deployment; only jobs touch routers, and tell what they did there.
GRANT SELECT ON router_discovery, router_service_config, router_deployment, router_deployment_step TO kibali_api;
GRANT INSERT ON router_service_config TO kibali_api;
GRANT INSERT, UPDATE ON router_deployment TO kibali_api;
GRANT SELECT ON router_service_config TO kibali_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON router_discovery, router_deployment_step TO kibali_worker;
GRANT SELECT, UPDATE ON router_deployment TO kibali_worker;
GRANT SELECT ON router_discovery, router_service_config, router_deployment, router_deployment_step TO kibali_platform;

SELECT audit_table('router_service_config');
SELECT audit_table('router_deployment');
