"""Which addresses are public, as a table."""

from ipaddress import ip_network

import pytest

from isp.public_address import is_public, is_within, why_not


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("196.201.214.200", True),
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.88.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2001:db8::1", False),
        ("2002:808:808::", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("fec0::1", False),
        ("100::1", False),
        ("4000::1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("::7f00:1", False),
        ("2001:4860:4860::8888", True),
    ],
)
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public


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
        ("https://[::1]", "not on the public internet", "not on the public internet"),
        ("https://[::ffff:192.168.0.1]", "not on the public internet", "not on the public internet"),
    ],
)
def test_a_url_is_refused_for_what_can_be_seen_of_it(url: str, outside: str | None, inside: str | None) -> None:
    for allowed, expected in (((), outside), (HERE, inside)):
        said = why_not(url, allowed)
        assert said is None if expected is None else expected in str(said)
