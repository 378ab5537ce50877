-- Who may touch what of outgoing webhooks; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhook_endpoint', 'webhook_delivery'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker USING (true) WITH CHECK (true)',
                       name);
        EXECUTE format('GRANT SELECT ON %I TO kibali_platform', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoint TO kibali_api;
GRANT SELECT, INSERT, UPDATE ON webhook_delivery TO kibali_api;
GRANT SELECT ON webhook_endpoint TO kibali_worker;
GRANT UPDATE (after_event_id, failures, failing_since, paused_until, disabled_at, disabled_reason) ON webhook_endpoint
    TO kibali_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_delivery TO kibali_worker;

-- Who has events sent where is worth knowing; what came of each is in its row.
SELECT audit_table('webhook_endpoint'::regclass);
