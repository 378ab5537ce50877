-- The audit log. Triggers write it, in the transaction of the change; no role may, so none can forge, change or delete it.
CREATE TABLE audit_default PARTITION OF audit DEFAULT;

-- One row, for whoever is behind the transaction.
CREATE FUNCTION write_audit(of_tenant bigint, operation text, what text, what_id text, before jsonb, after jsonb)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    actor jsonb := coalesce(nullif(current_setting('kibali.actor', true), ''), '{}');
BEGIN
    INSERT INTO audit (tenant_id, admin_id, who, via, address, credential, request_id, action, operation, what, what_id,
                       before, after)
    VALUES (of_tenant, (actor->>'admin_id')::bigint, coalesce(actor->>'who', 'unknown'),
            coalesce(actor->>'via', session_user::text), (actor->>'address')::inet, actor->>'credential',
            actor->>'request_id', coalesce(actor->>'action', 'unknown'), write_audit.operation, write_audit.what,
            write_audit.what_id, write_audit.before, write_audit.after);
END $$;

-- The names of a table's columns that hold secrets: what is sealed or hashed is bytea, and so are tokens.
CREATE FUNCTION secret_columns(of_table regclass) RETURNS text[] LANGUAGE sql STABLE SET search_path = public
    RETURN (SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute
             WHERE attrelid = of_table AND attnum > 0 AND NOT attisdropped
               AND (atttypid = 'bytea'::regtype
                    OR attname ~ 'password|secret|token|hash|sealed|passkey'
                       AND atttypid NOT IN ('boolean'::regtype, 'timestamptz'::regtype, 'bigint'::regtype)));

-- What identifies a row beside its tenant.
CREATE FUNCTION key_columns(of_table regclass) RETURNS text[] LANGUAGE sql STABLE SET search_path = public
    RETURN (SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}')
              FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
             WHERE i.indrelid = of_table AND i.indisprimary AND a.attname <> 'tenant_id');

CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    old_values jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_values jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    whole jsonb := coalesce(new_values, old_values);
    secrets text[] := secret_columns(TG_RELID);
    before jsonb;
    after jsonb;
    what_id text;
BEGIN
    -- What goes along with every change says nothing by itself.
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY (secrets) AND old_values->key <> 'null' THEN '"…"'
                                      ELSE old_values->key END)
               FILTER (WHERE TG_OP = 'UPDATE' OR old_values->key <> 'null'),
           jsonb_object_agg(key, CASE WHEN key = ANY (secrets) AND new_values->key <> 'null' THEN '"…"'
                                      ELSE new_values->key END)
               FILTER (WHERE TG_OP = 'UPDATE' OR new_values->key <> 'null')
      INTO before, after
      FROM jsonb_object_keys(whole) key
     WHERE (TG_OP <> 'UPDATE' OR old_values->key IS DISTINCT FROM new_values->key)
       AND key NOT IN ('updated_at', 'last_used_at', 'nudged_at');
    IF TG_OP = 'UPDATE' AND after IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(whole->>key, ',') INTO what_id FROM unnest(key_columns(TG_RELID)) key;
    PERFORM write_audit(
        CASE TG_TABLE_NAME WHEN 'tenant' THEN (whole->>'id')::bigint ELSE (whole->>'tenant_id')::bigint END,
        lower(TG_OP), TG_TABLE_NAME, what_id,
        CASE WHEN TG_OP <> 'INSERT' THEN before END, CASE WHEN TG_OP <> 'DELETE' THEN after END);
    RETURN NULL;
END $$;

-- For a table of which one statement changes thousands of rows: one row says how many.
CREATE FUNCTION audit_statement() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT tenant_id, count(*) AS rows, (array_agg(id ORDER BY id))[1:20] AS ids
                   FROM changed GROUP BY tenant_id
    LOOP
        PERFORM write_audit(found.tenant_id, lower(TG_OP), TG_TABLE_NAME,
                            CASE WHEN found.rows = 1 THEN found.ids[1]::text END, NULL,
                            jsonb_build_object('rows', found.rows, 'ids', found.ids));
    END LOOP;
    RETURN NULL;
END $$;

-- Has every change of a table audited that the API or the command line makes. `only_with_actor`: of a table that the API
-- also writes for strangers, such as the jobs of webhooks.
CREATE FUNCTION audit_table(of_table regclass, only_with_actor boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION'
                   ' audit_change()', of_table, audit_condition(only_with_actor));
END $$;

CREATE FUNCTION audit_condition(only_with_actor boolean) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN only_with_actor THEN '' ELSE 'session_user IN (''kibali_api'', ''kibali_platform'') OR ' END
           || 'coalesce(current_setting(''kibali.actor'', true), '''') <> ''''';

-- What changes nothing and is still to be known, of the tenant that the transaction is confined to.
CREATE FUNCTION audit_note(what text, what_id text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public
    RETURN write_audit(current_tenant_id(), 'note', what, what_id, NULL, NULL);

REVOKE ALL ON FUNCTION write_audit(bigint, text, text, text, jsonb, jsonb), audit_note(text, text),
    audit_table(regclass, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_note(text, text) TO kibali_api, kibali_platform;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenant', 'admin', 'api_token', 'plan', 'subscriber', 'subscription', 'subscription_router',
                                'device', 'router', 'router_state', 'payment_account', 'payment_intent', 'payment',
                                'voucher_batch'] LOOP
        PERFORM audit_table(name::regclass);
    END LOOP;
    PERFORM audit_table('job', only_with_actor => true);
    -- A batch says how many vouchers it has; what is revoked or redeemed later is worth knowing.
    EXECUTE format('CREATE TRIGGER audit AFTER UPDATE ON voucher REFERENCING NEW TABLE AS changed FOR EACH STATEMENT'
                   ' WHEN (%s) EXECUTE FUNCTION audit_statement()', audit_condition(false));
END $$;

-- Whether the transaction is one of the platform's own, in no tenant.
CREATE FUNCTION is_platform() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('kibali.platform', true), '') = 'on';

ALTER TABLE audit ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON audit FOR SELECT TO kibali_api USING (tenant_id = current_tenant_id());
CREATE POLICY platform ON audit FOR SELECT TO kibali_api USING (is_platform());
CREATE POLICY all_tenants ON audit FOR SELECT TO kibali_platform USING (true);
GRANT SELECT ON audit TO kibali_api, kibali_platform;
GRANT SELECT ON audit_default TO kibali_worker;

-- The platform's own admins, through the API: the tenants, and themselves.
CREATE POLICY platform ON tenant TO kibali_api USING (is_platform()) WITH CHECK (is_platform());
CREATE POLICY platform ON admin TO kibali_api USING (is_platform() AND tenant_id IS NULL)
    WITH CHECK (is_platform() AND tenant_id IS NULL);
CREATE POLICY platform ON api_token TO kibali_api USING (is_platform() AND tenant_id IS NULL)
    WITH CHECK (is_platform() AND tenant_id IS NULL);

-- As 0001_partitions.sql, for every table that is partitioned by month and has a default partition.
CREATE FUNCTION month_column(parent text) RETURNS text LANGUAGE sql STABLE SET search_path = public
    RETURN (SELECT a.attname::text
              FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
             WHERE p.partrelid = to_regclass(quote_ident(parent)) AND p.partdefid <> 0);

CREATE OR REPLACE FUNCTION create_month_partition(parent text, month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET timezone = 'UTC' AS $$
DECLARE
    column_name text := month_column(parent);
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

CREATE OR REPLACE FUNCTION drop_month_partitions(parent text, before date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public SET timezone = 'UTC' AS $$
DECLARE
    partition text;
BEGIN
    IF month_column(parent) IS NULL THEN
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
