-- How admins log in: who may touch what, and which rows; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['admin_session', 'admin_totp'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY platform ON %I TO kibali_api USING (is_platform() AND tenant_id IS NULL)'
                       ' WITH CHECK (is_platform() AND tenant_id IS NULL)', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker USING (true) WITH CHECK (true)',
                       name);
        PERFORM audit_table(name::regclass);
    END LOOP;
END $$;

-- No process reads what a password or a token is known by: the functions below compare, or hand it to the one login.
REVOKE SELECT, INSERT, UPDATE ON admin, api_token FROM kibali_api;
REVOKE SELECT ON admin FROM kibali_worker;
REVOKE SELECT ON admin, api_token FROM kibali_platform;
GRANT SELECT (id, tenant_id, email, role, created_at, disabled_at, must_change_password, password_changed_at, last_login_at)
    ON admin TO kibali_api, kibali_worker, kibali_platform;
GRANT INSERT ON admin TO kibali_api;
GRANT UPDATE (email, role, disabled_at, password_hash, must_change_password, password_changed_at, last_login_at)
    ON admin TO kibali_api;
GRANT SELECT (id, tenant_id, admin_id, name, scopes, created_at, expires_at, last_used_at, revoked_at)
    ON api_token TO kibali_api, kibali_platform;
GRANT INSERT, UPDATE (revoked_at) ON api_token TO kibali_api;

GRANT SELECT (id, tenant_id, admin_id, source, address, user_agent, created_at, last_used_at, expires_at, ended_at)
    ON admin_session TO kibali_api, kibali_platform, kibali_worker;
GRANT INSERT, UPDATE (ended_at) ON admin_session TO kibali_api;
GRANT UPDATE (ended_at) ON admin_session TO kibali_platform;
GRANT SELECT, INSERT, UPDATE, DELETE ON admin_totp TO kibali_api;
GRANT SELECT (admin_id, tenant_id, confirmed_at), DELETE ON admin_totp TO kibali_platform;

-- Whose rows are whose: nobody's tenant is changed, and the platform's admins make tenants.
GRANT INSERT, UPDATE (slug, name, language, timezone, closed_at) ON tenant TO kibali_api;

-- Old sessions and attempts are deleted by a job.
GRANT DELETE ON admin_session TO kibali_worker;
ALTER TABLE login_attempt ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_tenants ON login_attempt TO kibali_worker USING (true);
GRANT SELECT, DELETE ON login_attempt TO kibali_worker;

-- What a login is checked against. Nothing for an email that no admin has.
CREATE FUNCTION login_of(for_email text)
    RETURNS TABLE (admin_id bigint, tenant_id bigint, email text, role text, password_hash text, is_shut_out boolean,
                   has_totp boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT a.id, a.tenant_id, a.email, a.role, a.password_hash, a.disabled_at IS NOT NULL OR t.closed_at IS NOT NULL,
           o.admin_id IS NOT NULL
      FROM admin a LEFT JOIN tenant t ON t.id = a.tenant_id
                   LEFT JOIN admin_totp o ON o.admin_id = a.id AND o.confirmed_at IS NOT NULL
     WHERE a.email = for_email
$$;

-- Records that somebody tries to log in, before anything is checked, so that a thousand at once are a thousand attempts.
-- The seconds to wait if they tried too often; else NULL, and the attempt's id. Admins are told apart by a digest of
-- their email, whether there is such an admin or not. One source may fail `of_source` times within the window for one
-- admin, and `at_source` times for all; all sources together `of_all` times for one admin, which does not count for a
-- source that the admin logged in from during the last 90 days: nobody is locked out by what strangers do.
CREATE FUNCTION claim_login(for_email text, from_source text, window_s integer, of_source integer, at_source integer,
                            of_all integer, OUT wait_s integer, OUT attempt_id bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    digest bytea := sha256(convert_to(for_email, 'UTF8'));
    since timestamptz := clock_timestamp() - make_interval(secs => window_s);
    oldest timestamptz;
    is_known boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('login:' || encode(digest, 'hex'), 0));
    SELECT attempted_at INTO oldest FROM login_attempt
     WHERE email_digest = digest AND source = from_source AND attempted_at > since
     ORDER BY attempted_at DESC OFFSET of_source - 1 LIMIT 1;
    IF oldest IS NULL THEN
        SELECT attempted_at INTO oldest FROM login_attempt
         WHERE source = from_source AND attempted_at > since
         ORDER BY attempted_at DESC OFFSET at_source - 1 LIMIT 1;
    END IF;
    IF oldest IS NULL THEN
        SELECT EXISTS (SELECT FROM admin_session s JOIN admin a ON a.id = s.admin_id
                        WHERE a.email = for_email AND s.source = from_source
                          AND s.created_at > now() - interval '90 days') INTO is_known;
        IF NOT is_known THEN
            SELECT attempted_at INTO oldest FROM login_attempt
             WHERE email_digest = digest AND attempted_at > since
             ORDER BY attempted_at DESC OFFSET of_all - 1 LIMIT 1;
        END IF;
    END IF;
    IF oldest IS NOT NULL THEN
        wait_s := greatest(1, ceil(window_s - extract(epoch FROM clock_timestamp() - oldest)));
        RETURN;
    END IF;
    INSERT INTO login_attempt (email_digest, source, attempted_at) VALUES (digest, from_source, clock_timestamp())
    RETURNING id INTO attempt_id;
END $$;

-- An attempt that was none: it succeeded.
CREATE FUNCTION forgive_login(attempt_id bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    DELETE FROM login_attempt WHERE id = attempt_id
$$;

-- Whose session a token is of; `is_over` if it ended, expired, was not used for `idle_s`, or its admin is shut out.
CREATE FUNCTION authenticate_session(hash bytea, idle_s integer)
    RETURNS TABLE (session_id bigint, admin_id bigint, tenant_id bigint, email text, role text,
                   must_change_password boolean, is_over boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN QUERY
        SELECT s.id, a.id, a.tenant_id, a.email, a.role, a.must_change_password,
               s.ended_at IS NOT NULL OR s.expires_at <= now() OR s.last_used_at <= now() - make_interval(secs => idle_s)
               OR a.disabled_at IS NOT NULL OR t.closed_at IS NOT NULL
          FROM admin_session s JOIN admin a ON a.id = s.admin_id AND a.tenant_id IS NOT DISTINCT FROM s.tenant_id
                               LEFT JOIN tenant t ON t.id = a.tenant_id
         WHERE s.token_hash = hash;
    UPDATE admin_session s SET last_used_at = now()
     WHERE s.token_hash = hash AND s.last_used_at < now() - interval '1 minute'
       AND s.last_used_at > now() - make_interval(secs => idle_s);
END $$;

-- As in 0001_security.sql; with what the token is limited to.
DROP FUNCTION authenticate_token(bytea);
CREATE FUNCTION authenticate_token(hash bytea)
    RETURNS TABLE (token_id bigint, admin_id bigint, tenant_id bigint, email text, role text, scopes text[],
                   expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    UPDATE api_token t SET last_used_at = now()
     WHERE t.token_hash = hash AND coalesce(t.last_used_at < now() - interval '1 minute', true);
    RETURN QUERY
        SELECT t.id, a.id, a.tenant_id, a.email, a.role, t.scopes, t.expires_at
          FROM api_token t JOIN admin a ON a.id = t.admin_id AND a.tenant_id IS NOT DISTINCT FROM t.tenant_id
                           LEFT JOIN tenant ON tenant.id = a.tenant_id
         WHERE t.token_hash = hash AND t.revoked_at IS NULL AND a.disabled_at IS NULL AND tenant.closed_at IS NULL
           AND coalesce(t.expires_at > now(), true);
END $$;

REVOKE ALL ON FUNCTION login_of(text), claim_login(text, text, integer, integer, integer, integer),
    forgive_login(bigint), authenticate_session(bytea, integer), authenticate_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION login_of(text), claim_login(text, text, integer, integer, integer, integer),
    forgive_login(bigint), authenticate_session(bytea, integer), authenticate_token(bytea) TO kibali_api;

-- As in 0005_audit.sql, but for bytes: they are secrets.
CREATE OR REPLACE FUNCTION key_columns(of_table regclass) RETURNS text[] LANGUAGE sql STABLE SET search_path = public
    RETURN (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
              FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = of_table AND i.indisprimary AND a.attname <> 'tenant_id'
               AND a.atttypid <> 'bytea'::regtype);

-- Tables of migrations since 0005 that the API or a command may change.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN
        SELECT DISTINCT quote_ident(p.table_name)::regclass
          FROM information_schema.column_privileges p JOIN pg_class c ON c.oid = quote_ident(p.table_name)::regclass
         WHERE p.table_schema = 'public' AND p.grantee IN ('kibali_api', 'kibali_platform')
           AND p.privilege_type IN ('INSERT', 'UPDATE') AND c.relkind = 'r' AND NOT c.relispartition
           AND p.table_name NOT IN ('event', 'idempotency_key', 'usage')
           AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'audit')
    LOOP
        PERFORM audit_table(name);
    END LOOP;
END $$;
