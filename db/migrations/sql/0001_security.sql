-- Who may touch what, and which rows.

-- The tenant a transaction is confined to; NULL (so: no row) when nobody said.
CREATE FUNCTION current_tenant_id() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('kibali.tenant_id', true), '')::bigint;

-- kibali_api sees the rows of one tenant; the other roles serve all tenants and are held by their grants alone.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['admin', 'api_token', 'plan', 'subscriber', 'subscription', 'subscription_router', 'device',
                                'router', 'session', 'session_history', 'usage', 'usage_day', 'auth_log', 'job', 'event'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker, kibali_radius'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenant TO kibali_api USING (id = current_tenant_id());
CREATE POLICY all_tenants ON tenant TO kibali_platform, kibali_worker, kibali_radius USING (true) WITH CHECK (true);

GRANT SELECT ON alembic_version TO kibali_platform, kibali_api, kibali_worker, kibali_radius;

-- FreeRADIUS: reads what decides a login, writes sessions, usage, its log, and what a first login fixes.
GRANT SELECT ON tenant, plan, subscription, subscription_router, device, router, session, session_history, usage,
    usage_day TO kibali_radius;
GRANT INSERT, UPDATE ON session, usage, usage_day TO kibali_radius;
-- A closed session with a late packet goes back to the hot table; one whose id was taken again goes to the history.
GRANT DELETE ON session, session_history TO kibali_radius;
GRANT INSERT ON session_history TO kibali_radius;
GRANT INSERT ON auth_log, event TO kibali_radius;
GRANT UPDATE (activated_at, expires_at, bound_mac, updated_at) ON subscription TO kibali_radius;

-- The API: one tenant's business. It records and enqueues; it never writes a session.
GRANT SELECT, INSERT, UPDATE, DELETE ON plan, subscriber, subscription, subscription_router, device, router
    TO kibali_api;
GRANT SELECT ON tenant, admin, session, session_history, usage, usage_day, auth_log TO kibali_api;
GRANT INSERT ON usage TO kibali_api;  -- the zero that a new subscription begins with
GRANT SELECT, INSERT ON event TO kibali_api;
GRANT SELECT, INSERT, UPDATE ON job, api_token TO kibali_api;

-- Jobs.
GRANT SELECT ON tenant, admin TO kibali_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON plan, subscriber, subscription, subscription_router, device, router, session,
    session_history, usage, usage_day, auth_log, event, job TO kibali_worker;

-- Whoever runs the platform: tenants, their admins, and the state of the machinery.
GRANT SELECT, INSERT, UPDATE ON tenant, admin, api_token, job TO kibali_platform;
GRANT SELECT ON plan, subscriber, subscription, subscription_router, device, router, session, session_history, usage,
    usage_day, auth_log TO kibali_platform;
GRANT SELECT, INSERT ON event TO kibali_platform;

-- The bearer of a token, if it is good. The only way for kibali_api to learn its tenant.
CREATE FUNCTION authenticate_token(hash bytea)
    RETURNS TABLE (token_id bigint, admin_id bigint, tenant_id bigint, email text, role text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    UPDATE api_token t SET last_used_at = now()
     WHERE t.token_hash = hash AND coalesce(t.last_used_at < now() - interval '1 minute', true);
    RETURN QUERY
        SELECT t.id, a.id, a.tenant_id, a.email, a.role
          FROM api_token t JOIN admin a ON a.id = t.admin_id AND a.tenant_id IS NOT DISTINCT FROM t.tenant_id
         WHERE t.token_hash = hash AND t.revoked_at IS NULL AND a.disabled_at IS NULL
           AND coalesce(t.expires_at > now(), true);
END $$;
REVOKE ALL ON FUNCTION authenticate_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION authenticate_token(bytea) TO kibali_api;

-- Watchers of events wait on one channel and read what is new by id.
CREATE FUNCTION notify_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kibali_event', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER notify AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION notify_event();
