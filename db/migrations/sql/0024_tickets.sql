-- A ticket is as good as what it was got with: what it opened ends with that token, that session, that admin, that tenant.
CREATE FUNCTION watcher_role(of_admin bigint, of_tenant bigint, of_token bigint, of_session bigint) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT a.role FROM admin a LEFT JOIN tenant t ON t.id = a.tenant_id
     WHERE a.id = of_admin AND (a.tenant_id = of_tenant OR a.tenant_id IS NULL) AND a.disabled_at IS NULL
       AND t.closed_at IS NULL
       AND (EXISTS (SELECT FROM api_token k WHERE k.id = of_token AND k.admin_id = a.id AND k.revoked_at IS NULL
                                              AND coalesce(k.expires_at > now(), true))
            OR EXISTS (SELECT FROM admin_session s WHERE s.id = of_session AND s.admin_id = a.id
                                                     AND s.ended_at IS NULL AND s.expires_at > now()))
$$;

-- Whose ticket it is; who comes second, or late, gets no row.
CREATE FUNCTION use_event_ticket(hash bytea)
    RETURNS TABLE (admin_id bigint, tenant_id bigint, token_id bigint, session_id bigint, role text)
    LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    WITH used AS (DELETE FROM event_ticket t WHERE t.ticket_hash = hash
                  RETURNING t.admin_id, t.tenant_id, t.token_id, t.session_id, t.expires_at),
         found AS (SELECT *, watcher_role(u.admin_id, u.tenant_id, u.token_id, u.session_id) AS role FROM used u)
    SELECT f.admin_id, f.tenant_id, f.token_id, f.session_id, f.role FROM found f
     WHERE f.expires_at > now() AND f.role IS NOT NULL
$$;
REVOKE ALL ON FUNCTION use_event_ticket(bytea), watcher_role(bigint, bigint, bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION use_event_ticket(bytea), watcher_role(bigint, bigint, bigint, bigint) TO kibali_api;
