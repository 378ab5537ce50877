-- Who may touch what of routers' configurations; see 0001_security.sql. A job writes them, nobody changes them.
ALTER TABLE router_backup ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON router_backup TO kibali_api USING (tenant_id = current_tenant_id());
CREATE POLICY all_tenants ON router_backup TO kibali_platform, kibali_worker USING (true) WITH CHECK (true);
GRANT SELECT ON router_backup TO kibali_api, kibali_platform;
GRANT SELECT, INSERT, DELETE, UPDATE (confirmed_at) ON router_backup TO kibali_worker;
