"""Which addresses are public, as a table."""

from ipaddress import ip_network

import pytest

from isp.public_address import is_public, is_within, why_not

# Of each special network (RFC 6890 and what IANA added since) the first and the last address, with a public one, if
# there is any, on either side.
SPECIAL = [
    # before, first, last, after
    (None, "0.0.0.0", "0.255.255.255", "1.0.0.0"),
    ("9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"),
    ("100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"),
    ("126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"),
    ("169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"),
    ("172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"),
    ("191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"),
    ("192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"),
    ("192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"),
    ("192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"),
    ("198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"),
    ("198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"),
    ("203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"),
    ("223.255.255.255", "224.0.0.0", "239.255.255.255", None),
    (None, "240.0.0.0", "255.255.255.255", None),
    (None, "::", "::fffe:ffff:ffff", None),  # unspecified, loopback, IPv4-compatible
    (None, "::1:0:0:0", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", None),
    (None, "64:ff9b::1:0:0", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
    ("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"),
    ("2001:db7:ffff:ffff::", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"),
    ("2001:ffff:ffff:ffff::", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"),
    ("3ffe:ffff:ffff:ffff::", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"),
    ("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
]


@pytest.mark.parametrize(("before", "first", "last", "after"), SPECIAL)
def test_special_networks_are_not_public_up_to_their_edges(
    before: str | None, first: str, last: str, after: str | None
) -> None:
    assert [is_public(each) for each in (first, last)] == [False, False]
    assert [each for each in (before, after) if each is not None and not is_public(each)] == []


@pytest.mark.parametrize("special", [row for row in SPECIAL if "." in row[1]])
@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
def test_ipv4_in_ipv6_is_what_it_is_in_ipv4(prefix: str, special: tuple[str | None, ...]) -> None:
    before, first, last, after = (None if each is None else prefix + each for each in special)
    assert not is_public(str(first))
    assert not is_public(str(last))
    assert [each for each in (before, after) if each is not None and not is_public(each)] == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("196.201.214.200", True),
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("2001:4860:4860::8888", True),
        ("2c0f:fe08::1", True),  # AFRINIC's
        ("192.168.88.1", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("::7f00:1", False),  # 127.0.0.1, IPv4-compatible
        ("::ffff:7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b:1::808:808", False),  # NAT64 of a network's own, which may lead anywhere in it
        ("100::1", False),  # discarded
        ("100:0:0:1::1", False),  # dummy
        ("2001:0:808:808::1", False),  # Teredo
        ("2001:2::1", False),  # benchmarks
        ("2001:10::1", False),  # ORCHID
        ("2001:20::1", False),
        ("2002:808:808::", False),
        ("2002:7f00:1::", False),
        ("5f00::1", False),  # segments of routes
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("fe80::1", False),
        ("febf::1", False),
        ("fec0::1", False),  # site-local
        ("ff02::1", False),
        ("ff0e::1", False),  # multicast that is global
        ("fe80::1%eth0", False),
        ("2606:4700::1111%eth0", False),
        ("::ffff:8.8.8.8%1", False),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f000001", "8.8.8.8%eth0", "127.0.0.01"])
def test_what_is_no_address_is_judged_by_nobody(text: str) -> None:
    """It is a name, and what it leads to is looked up: 127.1 is an address to the resolver."""
    with pytest.raises(ValueError, match=r"does not appear to be|Empty|'"):
        is_public(text)


def test_an_address_within_networks() -> None:
    networks = [ip_network("10.1.0.0/16"), ip_network("fc00::/7")]
    assert is_within("10.1.2.3", networks)
    assert is_within("fd00::1", networks)
    assert is_within("::ffff:10.1.2.3", networks)
    assert not is_within("10.2.0.1", networks)
    assert not is_within("::ffff:10.2.0.1", networks)
    assert not is_within("64:ff9b::a01:203", networks)
    assert not is_within("fe80::1%eth0", [])


HERE = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("url", "outside", "inside"),
    [
        ("https://api.safaricom.co.ke", None, None),
        ("https://8.8.8.8/path", None, None),
        ("http://8.8.8.8", "https", "https"),
        ("http://gateway.example", "https", None),  # it may lead to what is allowed: looked at when it is used
        ("https://10.1.2.3", "not on the public internet", None),
        ("http://10.1.2.3:8080", "not on the public internet", None),
        ("http://localhost:8080", "not on the public internet", None),
        ("https://db.localhost", "not on the public internet", None),
        ("https://169.254.169.254", "not on the public internet", "not on the public internet"),
        ("https://[fe80::1%25eth0]", "not on the public internet", "not on the public internet"),
        ("https://[::1]", "not on the public internet", "not on the public internet"),
        ("https://[::ffff:192.168.0.1]", "not on the public internet", "not on the public internet"),
    ],
)
def test_a_url_is_refused_for_what_can_be_seen_of_it(url: str, outside: str | None, inside: str | None) -> None:
    for allowed, expected in (((), outside), (HERE, inside)):
        said = why_not(url, allowed)
        assert said is None if expected is None else expected in str(said)
