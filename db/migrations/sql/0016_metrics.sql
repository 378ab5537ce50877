-- Totals of events, which outlive the events: of what Prometheus reads as counters.
REVOKE ALL ON event_total, event_count FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON event_total, event_count TO kibali_worker;
INSERT INTO event_count (id, after_event_id) SELECT 1, coalesce(max(id), 0) FROM event;

-- Counts over all tenants, and nothing but counts: for /metrics, which no tenant reads.
CREATE FUNCTION platform_metrics() RETURNS TABLE (name text, labels jsonb, value float8)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT 'jobs', jsonb_build_object('queue', queue, 'state', s), count(*)::float8
      FROM (SELECT queue, CASE WHEN state <> 'pending' THEN state WHEN due_at > now() THEN 'later' ELSE 'due' END AS s
              FROM job WHERE state IN ('pending', 'running', 'failed')) j
     GROUP BY queue, s
    UNION ALL
    SELECT 'job_oldest_due_seconds', jsonb_build_object('queue', queue), extract(epoch FROM now() - min(due_at))
      FROM job WHERE state = 'pending' AND due_at <= now() GROUP BY queue
    UNION ALL
    SELECT 'events', jsonb_build_object('type', type), total::float8 FROM event_total
    UNION ALL
    SELECT 'sessions_open', jsonb_build_object('service', service), count(*)::float8
      FROM session WHERE stopped_at IS NULL GROUP BY service
    UNION ALL
    SELECT 'routers', jsonb_build_object('status', status), count(*)::float8
      FROM router WHERE removed_at IS NULL GROUP BY status
    UNION ALL
    SELECT 'payments_waiting', jsonb_build_object('for', 'customer'), count(*)::float8
      FROM payment_intent WHERE state IN ('initiated', 'prompting', 'prompted')
    UNION ALL
    SELECT 'payments_waiting', jsonb_build_object('for', state), count(*)::float8
      FROM payment WHERE state IN ('received', 'suspense') GROUP BY state
    UNION ALL
    SELECT 'webhook_deliveries_waiting', '{}', count(*)::float8 FROM webhook_delivery WHERE state = 'pending'
    UNION ALL
    SELECT 'webhooks_disabled', '{}', count(*)::float8 FROM webhook_endpoint WHERE disabled_at IS NOT NULL
$$;
REVOKE ALL ON FUNCTION platform_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform_metrics() TO kibali_api, kibali_platform;
