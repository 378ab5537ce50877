-- Who may touch what of the tables that follow sessions, and which rows; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['follow', 'follow_plan', 'session_held', 'session_intent'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE, DELETE ON follow, follow_plan, session_held, session_intent TO kibali_worker;
-- The API: says that a session is to end, and tells what became of it.
GRANT SELECT, INSERT ON session_intent TO kibali_api;
GRANT SELECT ON follow, follow_plan, session_held TO kibali_api;
CREATE POLICY ends_only ON session_intent AS RESTRICTIVE FOR INSERT TO kibali_api
    WITH CHECK (action = 'disconnect' AND cause = 'kick' AND state = 'waiting' AND attempts = 0);
GRANT SELECT ON follow, session_held, session_intent TO kibali_platform;

-- Whoever changes what a subscription is entitled to, by whatever way, its sessions are looked at again: the row is
-- written in the transaction of the change. One statement for all rows of an update, in one order.
CREATE FUNCTION follow_subscriptions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO follow AS f (subscription_id, tenant_id, look_at, cause)
    SELECT n.id, n.tenant_id, clock_timestamp(),
           CASE WHEN n.status IS DISTINCT FROM o.status THEN
                     CASE n.status WHEN 'suspended' THEN 'suspended' WHEN 'cancelled' THEN 'cancelled'
                                   WHEN 'active' THEN CASE o.status WHEN 'suspended' THEN 'resumed' ELSE 'activated' END
                                   ELSE 'status' END
                WHEN n.plan_id IS DISTINCT FROM o.plan_id THEN 'plan_changed'
                WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN
                     CASE WHEN n.expires_at IS NULL OR n.expires_at > o.expires_at THEN 'extended' ELSE 'shortened' END
                WHEN n.activated_at IS DISTINCT FROM o.activated_at THEN 'extended'
                WHEN n.bound_mac IS DISTINCT FROM o.bound_mac THEN 'device_bound'
                ELSE 'address_changed' END
      FROM old_rows o JOIN new_rows n USING (id)
     WHERE (o.status, o.plan_id, o.service, o.expires_at, o.activated_at, o.bound_mac, o.framed_ip_address,
            o.delegated_ipv6_prefix)
           IS DISTINCT FROM (n.status, n.plan_id, n.service, n.expires_at, n.activated_at, n.bound_mac,
                             n.framed_ip_address, n.delegated_ipv6_prefix)
       -- A first session starts the clock that it was let in by.
       AND NOT (session_user = 'kibali_radius' AND o.activated_at IS NULL AND n.bound_mac IS NOT DISTINCT FROM o.bound_mac)
     ORDER BY n.id
    ON CONFLICT (subscription_id) DO UPDATE SET look_at = excluded.look_at, cause = excluded.cause;
    IF FOUND THEN
        NOTIFY kibali_follow;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER UPDATE ON subscription REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION follow_subscriptions();

CREATE FUNCTION follow_routers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO follow AS f (subscription_id, tenant_id, look_at, cause)
    SELECT s.id, s.tenant_id, clock_timestamp(), 'routers_changed' FROM subscription s
     WHERE s.id IN (SELECT subscription_id FROM rows) ORDER BY s.id
    ON CONFLICT (subscription_id) DO UPDATE SET look_at = excluded.look_at, cause = excluded.cause;
    IF FOUND THEN
        NOTIFY kibali_follow;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER follow_added AFTER INSERT ON subscription_router REFERENCING NEW TABLE AS rows
    FOR EACH STATEMENT EXECUTE FUNCTION follow_routers();
CREATE TRIGGER follow_removed AFTER DELETE ON subscription_router REFERENCING OLD TABLE AS rows
    FOR EACH STATEMENT EXECUTE FUNCTION follow_routers();

-- A plan may have a hundred thousand subscriptions: they are gone through by the follower, not by who changes the plan.
CREATE FUNCTION follow_plans() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO follow_plan (plan_id, tenant_id) VALUES (NEW.id, NEW.tenant_id)
    ON CONFLICT (plan_id) DO UPDATE SET after_id = 0;
    NOTIFY kibali_follow;
    RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER UPDATE ON plan FOR EACH ROW
    WHEN ((OLD.*) IS DISTINCT FROM (NEW.*)) EXECUTE FUNCTION follow_plans();

REVOKE ALL ON FUNCTION follow_subscriptions(), follow_routers(), follow_plans() FROM PUBLIC;

CREATE FUNCTION notify_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY kibali_follow;
    RETURN NULL;
END $$;
-- The follower writes intents itself, and knows of those.
CREATE TRIGGER notify AFTER INSERT ON session_intent FOR EACH ROW WHEN (NEW.cause = 'kick')
    EXECUTE FUNCTION notify_follow();

-- Who had a session ended is on record; what the follower does tells itself.
SELECT audit_table('session_intent', only_with_actor => true);
