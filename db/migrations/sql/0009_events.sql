-- The order of events: an event's id is given to it as its transaction commits, one transaction at a time. Whoever has
-- seen an id has seen, or could have, every lower one; nothing is ever committed behind what a reader has read.
--
-- The lock is taken last of all, in the commit itself, by which PostgreSQL queues those who NOTIFY anyway. An id that
-- is still the newest when its turn comes is kept; else the row gets the next.
DROP TRIGGER notify ON event;
DROP FUNCTION notify_event();
CREATE FUNCTION publish_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    newest bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1802068579);  -- any number, used for nothing else
    SELECT last_value INTO newest FROM event_id_seq;
    IF newest <> NEW.id THEN
        UPDATE event SET id = DEFAULT WHERE id = NEW.id AND created_at = NEW.created_at;
    END IF;
    -- Whose events there are; of the platform's own nobody's.
    PERFORM pg_notify('kibali_event', coalesce(NEW.tenant_id::text, ''));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER publish AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION publish_event();
-- How far ids go: whoever names a later one knows another database.
GRANT SELECT ON SEQUENCE event_id_seq TO kibali_api, kibali_platform, kibali_worker;

-- Tickets: good once, for a minute, to open a connection for events.
ALTER TABLE event_ticket ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON event_ticket TO kibali_api USING (tenant_id = current_tenant_id())
    WITH CHECK (tenant_id = current_tenant_id());
GRANT SELECT, INSERT, DELETE ON event_ticket TO kibali_api;

-- The role of one of the tenant's admins, or of the platform's, who act in any tenant; NULL for who is disabled.
CREATE FUNCTION watcher_role(of_admin bigint, of_tenant bigint) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT role FROM admin
     WHERE id = of_admin AND (tenant_id = of_tenant OR tenant_id IS NULL) AND disabled_at IS NULL
$$;

-- Whose ticket it is; who comes second, or late, gets no row.
CREATE FUNCTION use_event_ticket(hash bytea) RETURNS TABLE (admin_id bigint, tenant_id bigint, role text)
    LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    WITH used AS (DELETE FROM event_ticket t WHERE t.ticket_hash = hash RETURNING t.admin_id, t.tenant_id, t.expires_at)
    SELECT u.admin_id, u.tenant_id, watcher_role(u.admin_id, u.tenant_id) FROM used u
     WHERE u.expires_at > now() AND watcher_role(u.admin_id, u.tenant_id) IS NOT NULL
$$;
REVOKE ALL ON FUNCTION use_event_ticket(bytea), watcher_role(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION use_event_ticket(bytea), watcher_role(bigint, bigint) TO kibali_api;
