-- Who may touch imports and their files; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['subscriber_import', 'subscriber_import_piece'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker USING (true)'
                       ' WITH CHECK (true)', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE (job_id) ON subscriber_import TO kibali_api;
GRANT INSERT ON subscriber_import_piece TO kibali_api;  -- what was sent is read by the job alone
GRANT SELECT, UPDATE ON subscriber_import TO kibali_worker;
GRANT SELECT, DELETE ON subscriber_import_piece TO kibali_worker;
GRANT SELECT ON subscriber_import TO kibali_platform;

SELECT audit_table('subscriber_import');
