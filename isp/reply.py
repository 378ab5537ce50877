"""An entitlement as RADIUS attributes, by the names of FreeRADIUS's dictionaries."""

from isp.entitlement import Accept

# RouterOS keeps Session-Timeout in 32 bits of seconds; a month is refreshed long before it runs out.
MAX_SESSION_TIMEOUT_S = 30 * 24 * 3600
GIGAWORD = 1 << 32

Pairs = tuple[tuple[str, str], ...]


def attributes(accept: Accept, service: str) -> Pairs:
    """Reply pairs of an Access-Accept for `hotspot` or `pppoe`, Class left out."""
    pairs: list[tuple[str, str]] = []
    if service == "pppoe":
        pairs += [("Service-Type", "Framed-User"), ("Framed-Protocol", "PPP")]
    pairs.append(("Mikrotik-Rate-Limit", accept.rate_limit))
    if accept.session_timeout_s is not None:
        pairs.append(("Session-Timeout", str(min(accept.session_timeout_s, MAX_SESSION_TIMEOUT_S))))
    if accept.idle_timeout_s is not None:
        pairs.append(("Idle-Timeout", str(accept.idle_timeout_s)))
    pairs.append(("Acct-Interim-Interval", str(accept.interim_interval_s)))
    pairs += _limit("Mikrotik-Total-Limit", accept.total_limit_octets)
    pairs += _limit("Mikrotik-Recv-Limit", accept.input_limit_octets)
    pairs += _limit("Mikrotik-Xmit-Limit", accept.output_limit_octets)
    for name, value in (
        ("Framed-IP-Address", accept.framed_ip_address),
        ("Framed-Pool", accept.framed_pool),
        ("Framed-IPv6-Pool", accept.framed_ipv6_pool),
        ("Mikrotik-Delegated-IPv6-Pool", accept.delegated_ipv6_pool),
        ("Delegated-IPv6-Prefix", accept.delegated_ipv6_prefix),
        ("Mikrotik-Address-List", accept.address_list),
    ):
        if value is not None:
            pairs.append((name, value))
    return tuple(pairs)


def _limit(name: str, octets: int | None) -> list[tuple[str, str]]:
    """A 64-bit limit as its low word and, where it needs one, its `-Gigawords` twin.

    RouterOS takes a low word of 0 as no limit: a limit of whole gigawords is sent one octet short.
    """
    if octets is None:
        return []
    gigawords, low = divmod(max(1, octets if octets % GIGAWORD else octets - 1), GIGAWORD)
    return [(name, str(low)), *([(f"{name}-Gigawords", str(gigawords))] if gigawords else [])]
