-- Monthly partitions (UTC). Each parent has a default partition: a row is never refused because a month was not prepared.
CREATE TABLE session_history_default PARTITION OF session_history DEFAULT;
CREATE TABLE usage_day_default PARTITION OF usage_day DEFAULT;
CREATE TABLE auth_log_default PARTITION OF auth_log DEFAULT;
CREATE TABLE event_default PARTITION OF event DEFAULT;

-- Makes the partition of `parent` for the month that begins on `month`; rows that waited in the default partition move
-- into it. False if it was there already.
CREATE FUNCTION create_month_partition(parent text, month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET timezone = 'UTC' AS $$
DECLARE
    column_name text := CASE parent WHEN 'session_history' THEN 'stopped_at' WHEN 'usage_day' THEN 'day'
                                    WHEN 'auth_log' THEN 'logged_at' WHEN 'event' THEN 'created_at' END;
    partition text := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
    following date := (month + interval '1 month')::date;
    written text;  -- the columns that are not generated
BEGIN
    IF column_name IS NULL OR month <> date_trunc('month', month)::date THEN
        RAISE EXCEPTION '% has no monthly partition that begins on %', parent, month;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext(partition));
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL EXCLUDING IDENTITY)', partition, parent);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', partition);
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    SELECT string_agg(quote_ident(attname), ', ') INTO written FROM pg_attribute
     WHERE attrelid = parent::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *)'
                   ' INSERT INTO %I (%s) SELECT %s FROM moved',
                   parent || '_default', column_name, month, column_name, following, partition, written, written);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition, month, following);
    RETURN true;
END $$;

-- Drops the partitions of `parent` whose months end at or before `before`. Returns their names.
CREATE FUNCTION drop_month_partitions(parent text, before date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET timezone = 'UTC' AS $$
DECLARE
    partition text;
BEGIN
    IF parent NOT IN ('session_history', 'usage_day', 'auth_log', 'event') THEN
        RAISE EXCEPTION '% has no monthly partitions', parent;
    END IF;
    IF before > date_trunc('month', now()) THEN
        RAISE EXCEPTION 'the running month is never dropped';
    END IF;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = parent::regclass AND c.relname ~ (parent || '_[0-9]{4}_[0-9]{2}$')
           AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= before
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        RETURN NEXT partition;
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION create_month_partition(text, date), drop_month_partitions(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_month_partition(text, date), drop_month_partitions(text, date) TO kibali_worker;
-- To notice rows of months that nobody prepared.
GRANT SELECT ON session_history_default, usage_day_default, auth_log_default, event_default TO kibali_worker;
