-- Who bears a token, if it is good and its use was noted within the last minute. It changes nothing, so that it can be
-- asked with what the bearer wants to read.
CREATE FUNCTION bearer_of_token(hash bytea)
    RETURNS TABLE (token_id bigint, admin_id bigint, tenant_id bigint, email text, role text, scopes text[],
                   expires_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public AS $$
BEGIN
    RETURN QUERY
        SELECT t.id, a.id, a.tenant_id, a.email, a.role, t.scopes, t.expires_at
          FROM api_token t JOIN admin a ON a.id = t.admin_id AND a.tenant_id IS NOT DISTINCT FROM t.tenant_id
                           LEFT JOIN tenant ON tenant.id = a.tenant_id
         WHERE t.token_hash = hash AND t.revoked_at IS NULL AND a.disabled_at IS NULL AND tenant.closed_at IS NULL
           AND coalesce(t.expires_at > now(), true) AND t.last_used_at >= now() - interval '1 minute';
END $$;
REVOKE ALL ON FUNCTION bearer_of_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bearer_of_token(bytea) TO kibali_api;

-- As in 0011_logins.sql: the use is noted first.
CREATE OR REPLACE FUNCTION authenticate_token(hash bytea)
    RETURNS TABLE (token_id bigint, admin_id bigint, tenant_id bigint, email text, role text, scopes text[],
                   expires_at timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    UPDATE api_token t SET last_used_at = now()
     WHERE t.token_hash = hash AND coalesce(t.last_used_at < now() - interval '1 minute', true);
    RETURN QUERY SELECT * FROM bearer_of_token(hash);
END $$;
