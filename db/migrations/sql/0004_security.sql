-- Who may touch what of a router; see 0001_security.sql.
ALTER TABLE router_state ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON router_state TO kibali_api USING (tenant_id = current_tenant_id())
    WITH CHECK (tenant_id = current_tenant_id());
CREATE POLICY all_tenants ON router_state TO kibali_platform, kibali_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT ON router_state TO kibali_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON router_state TO kibali_worker;
GRANT SELECT ON router_state TO kibali_platform;

-- FreeRADIUS needs to know whom it talks to, not how to get in there.
REVOKE SELECT ON router FROM kibali_radius;
GRANT SELECT (id, tenant_id, name, nas_address, radius_secret_sealed, require_message_authenticator, coa_port,
    swap_octets, status, created_at, updated_at, removed_at) ON router TO kibali_radius;
