-- Where a gateway is on this machine is for its owner's role to say; see 0002_security.sql for the rest.
CREATE POLICY not_local ON payment_account AS RESTRICTIVE FOR INSERT TO kibali_api WITH CHECK (local_url IS NULL);
REVOKE UPDATE ON payment_account FROM kibali_api;
GRANT UPDATE (name, base_url, confirm_above_kes, credentials_sealed, c2b_token_sealed, disabled_at, oauth_token_sealed,
    oauth_expires_at) ON payment_account TO kibali_api;
