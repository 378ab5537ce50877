-- Who may touch what of payments, and which rows; see 0001_security.sql.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['payment_account', 'payment_intent', 'payment', 'ledger_posting', 'ledger_entry', 'wallet',
                                'renewal', 'webhook_inbox', 'voucher_batch', 'voucher'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I TO kibali_api USING (tenant_id = current_tenant_id())'
                       ' WITH CHECK (tenant_id = current_tenant_id())', name);
        EXECUTE format('CREATE POLICY all_tenants ON %I TO kibali_platform, kibali_worker'
                       ' USING (true) WITH CHECK (true)', name);
    END LOOP;
END $$;

-- The API: keeps accounts and vouchers, says that a customer is to be asked, reads the rest.
GRANT SELECT ON payment_account, payment_intent, payment, ledger_posting, ledger_entry, wallet, renewal, webhook_inbox,
    voucher_batch, voucher TO kibali_api;
GRANT INSERT, UPDATE ON payment_account, voucher_batch TO kibali_api;
GRANT INSERT ON payment_intent, voucher TO kibali_api;
GRANT UPDATE (state, redeemed_at, payment_id) ON voucher TO kibali_api;
-- It writes no money: it records cash and vouchers, which are credited by a job.
GRANT INSERT ON payment TO kibali_api;
CREATE POLICY records_only ON payment AS RESTRICTIVE FOR INSERT TO kibali_api
    WITH CHECK (provider IN ('cash', 'voucher') AND state = 'received' AND booked_at IS NULL AND applied_at IS NULL);

-- Jobs: money is moved here and nowhere else. Nobody may change or delete what the ledger says.
GRANT SELECT ON payment_account, voucher_batch TO kibali_worker;
GRANT UPDATE (oauth_token_sealed, oauth_expires_at) ON payment_account TO kibali_worker;
GRANT SELECT, INSERT, UPDATE ON payment_intent, payment, wallet, renewal, voucher TO kibali_worker;
GRANT SELECT, INSERT ON ledger_posting, ledger_entry TO kibali_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_inbox TO kibali_worker;

-- What the platform counts for the state of the machinery.
GRANT SELECT ON payment_intent, payment, webhook_inbox TO kibali_platform;

-- A posting's entries add up to nothing, or it is not committed.
CREATE FUNCTION check_ledger_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    difference numeric;
BEGIN
    SELECT sum(amount_kes) INTO difference FROM ledger_entry WHERE posting_id = NEW.posting_id;
    IF difference <> 0 THEN
        RAISE EXCEPTION 'the entries of posting % add up to %, not 0', NEW.posting_id, difference
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balance', TABLE = 'ledger_entry';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER balance AFTER INSERT ON ledger_entry DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION check_ledger_balance();

-- A webhook comes without a tenant: its token says whose it is. Nothing is kept for a token of nobody.
CREATE FUNCTION store_webhook(kind text, hash bytea, source inet, listed boolean, body bytea)
    RETURNS TABLE (inbox_id bigint, tenant_id bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
#variable_conflict use_column
BEGIN
    IF store_webhook.kind = 'stk' THEN
        RETURN QUERY
            INSERT INTO webhook_inbox (tenant_id, kind, intent_id, payment_account_id, source_address, source_listed, body)
            SELECT i.tenant_id, 'stk', i.id, i.payment_account_id, source, listed, store_webhook.body
              FROM payment_intent i WHERE i.callback_token_hash = hash
            RETURNING webhook_inbox.id, webhook_inbox.tenant_id;
    ELSE
        RETURN QUERY
            INSERT INTO webhook_inbox (tenant_id, kind, payment_account_id, source_address, source_listed, body)
            SELECT a.tenant_id, store_webhook.kind, a.id, source, listed, store_webhook.body
              FROM payment_account a WHERE a.c2b_token_hash = hash
            RETURNING webhook_inbox.id, webhook_inbox.tenant_id;
    END IF;
END $$;

-- Whose account a C2B token belongs to: for validation, which stores nothing.
CREATE FUNCTION payment_account_of_token(hash bytea) RETURNS TABLE (payment_account_id bigint, tenant_id bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
    SELECT a.id, a.tenant_id FROM payment_account a WHERE a.c2b_token_hash = hash
$$;
REVOKE ALL ON FUNCTION store_webhook(text, bytea, inet, boolean, bytea), payment_account_of_token(bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION store_webhook(text, bytea, inet, boolean, bytea), payment_account_of_token(bytea)
    TO kibali_api;
