-- Who may touch what of the watching; see 0001_security.sql.
ALTER TABLE router_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON router_history TO kibali_api USING (tenant_id = current_tenant_id());
CREATE POLICY all_tenants ON router_history TO kibali_platform, kibali_worker USING (true) WITH CHECK (true);
GRANT SELECT ON router_history TO kibali_api, kibali_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON router_history TO kibali_worker;

-- No tenant's: who the watchers are.
GRANT SELECT, INSERT, UPDATE, DELETE ON watcher TO kibali_worker;
GRANT SELECT ON watcher TO kibali_platform;

-- What an operator may ask for: that a router be probed.
GRANT UPDATE (probe_due_at, probe_tries, failures, status_before) ON router_state TO kibali_api;
