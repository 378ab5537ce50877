-- Who may touch what of the tunnels; see 0001_security.sql.
ALTER TABLE router_tunnel ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON router_tunnel TO kibali_api USING (tenant_id = current_tenant_id())
    WITH CHECK (tenant_id = current_tenant_id());
CREATE POLICY all_tenants ON router_tunnel TO kibali_platform, kibali_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON router_tunnel TO kibali_api;
GRANT SELECT ON router_tunnel TO kibali_worker, kibali_platform;

-- The hub is the platform's; to others it is a public key.
GRANT SELECT, INSERT ON tunnel_hub TO kibali_platform;
GRANT SELECT (id, public_key) ON tunnel_hub TO kibali_api;

-- The lowest address of `network` that no router of any tenant has, behind the first, which is the hub's; NULL if all
-- are taken. Whoever else asks waits until the transaction ends.
CREATE FUNCTION free_tunnel_address(network cidr) RETURNS inet
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    hub inet := set_masklen(network::inet + 1, 32);
    last inet := set_masklen(broadcast(network::inet) - 1, 32);
    found inet;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('free_tunnel_address'));
    WITH taken AS (
        SELECT hub AS address
        UNION SELECT t.address FROM router_tunnel t WHERE t.address BETWEEN hub AND last
        UNION SELECT r.nas_address FROM router r WHERE r.removed_at IS NULL AND r.nas_address BETWEEN hub AND last
    )
    SELECT min(t.address + 1) INTO found FROM taken t
     WHERE t.address + 1 <= last AND NOT EXISTS (SELECT FROM taken o WHERE o.address = t.address + 1);
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION free_tunnel_address(cidr) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION free_tunnel_address(cidr) TO kibali_api;

SELECT audit_table('router_tunnel'), audit_table('tunnel_hub');
