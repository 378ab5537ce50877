-- Who may touch SMS, and which rows; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['sms_gateway', 'sms_message'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
    PERFORM audit_table('sms_gateway');
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON sms_gateway TO kibali_api;
GRANT SELECT, INSERT, UPDATE (body_sealed) ON sms_message TO kibali_api;
GRANT SELECT ON sms_gateway TO kibali_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON sms_message TO kibali_worker;
