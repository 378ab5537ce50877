-- Who may touch idempotency keys, and which rows; see 0001_security.sql.
ALTER TABLE idempotency_key ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON idempotency_key TO kibali_api USING (tenant_id = current_tenant_id())
    WITH CHECK (tenant_id = current_tenant_id());
CREATE POLICY all_tenants ON idempotency_key TO kibali_platform, kibali_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE (answer_sealed) ON idempotency_key TO kibali_api;
-- Those that are old are deleted by a job.
GRANT SELECT, DELETE ON idempotency_key TO kibali_worker;
