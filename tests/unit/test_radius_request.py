"""Packets as FreeRADIUS hands them over: real ones, odd ones, hostile ones."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.session_identity import session_key
from radius_module.request import (
    AccessRequest,
    AccountingRequest,
    MalformedRequest,
    RouterRestart,
    access_request,
    accounting_request,
)

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
MAC = "BC:24:11:EB:56:4D"
OURS = "k1.42.0123456789abcdef"
CHALLENGE = bytes(range(16))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """FreeRADIUS prints dates in the zone of its process: ours."""
    yield from zone(monkeypatch, "UTC")


def zone(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    monkeypatch.setenv("TZ", name)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def octets(text: str | bytes) -> str:
    return "0x" + (text.encode() if isinstance(text, str) else text).hex()


def chap(password: str, challenge: bytes = CHALLENGE) -> dict[str, str]:
    response = md5(b"\x05" + password.encode() + challenge).digest()
    return {"CHAP-Password": octets(b"\x05" + response), "CHAP-Challenge": octets(challenge)}


def pairs(values: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value is not None)


# In the order of a capture of RouterOS 7.
HOTSPOT_LOGIN: dict[str, str | None] = {
    "NAS-Port-Type": "Ethernet",
    "Calling-Station-Id": MAC,
    "Called-Station-Id": "hotspot1",
    "NAS-Port-Id": "bridge",
    "User-Name": "alice",
    "NAS-Port": "2147483649",
    "Acct-Session-Id": "80000001",
    "Framed-IP-Address": "10.5.50.2",
    "User-Password": "s3cret",
    "Service-Type": "Login-User",
    "NAS-Identifier": "MikroTik",
    "NAS-IP-Address": "10.0.0.1",
    "Kibali-Router-Id": "7",
}


def login(**values: str | None) -> AccessRequest:
    return access_request(pairs(HOTSPOT_LOGIN | {name.replace("_", "-"): value for name, value in values.items()}))


# ---- Access-Request ----


def test_a_hotspot_login() -> None:
    assert login() == AccessRequest(7, "alice", "hotspot", MAC, False, pap_password="s3cret")


def test_a_pppoe_login() -> None:
    expected = AccessRequest(7, "alice", "pppoe", MAC, False, pap_password="s3cret")
    assert login(Service_Type="Framed-User", Framed_Protocol="PPP") == expected


@pytest.mark.parametrize(
    ("service_type", "framed_protocol", "service"),
    [
        ("Login-User", None, "hotspot"),
        ("Framed-User", "PPP", "pppoe"),
        ("Framed-User", None, "pppoe"),
        (None, "PPP", "pppoe"),
        (None, None, None),
        ("Call-Check", None, None),
        ("Administrative-User", None, None),
        ("99", None, None),
    ],
)
def test_service(service_type: str | None, framed_protocol: str | None, service: str | None) -> None:
    assert login(Service_Type=service_type, Framed_Protocol=framed_protocol).service == service


@pytest.mark.parametrize(
    ("values", "is_mac_login"),
    [
        pytest.param({"User-Password": ""}, True, id="empty password"),
        pytest.param({"User-Password": None}, True, id="no password at all"),
        pytest.param({"User-Password": MAC}, True, id="mac-as-username-and-password"),
        pytest.param({"User-Password": "s3cret"}, False, id="a password of its own is a person's"),
        pytest.param({"User-Password": MAC.lower()}, False, id="the password must be the name to the letter"),
        pytest.param({"User-Password": "\udcff"}, False, id="noise for a password"),
        pytest.param({"User-Password": "é"}, False, id="a password that is not ASCII"),
        pytest.param({"User-Name": MAC.replace(":", "-"), "User-Password": ""}, True, id="name with dashes"),
        pytest.param({"User-Name": MAC.replace(":", "").lower(), "User-Password": ""}, True, id="bare name"),
        pytest.param({"User-Name": "bc2411eb564d", "User-Password": "bc2411eb564d"}, True, id="bare name for password"),
        pytest.param({"User-Name": "alice", "User-Password": ""}, False, id="a person with no password"),
        pytest.param({"User-Name": "BC:24:11:EB:56:4E", "User-Password": ""}, False, id="another device's name"),
        pytest.param({"Calling-Station-Id": None, "User-Password": ""}, False, id="no Calling-Station-Id"),
        pytest.param({"Calling-Station-Id": "10.5.50.2", "User-Password": ""}, False, id="an address of another kind"),
        pytest.param({"User-Password": "", "Service-Type": "Framed-User"}, False, id="PPPoE asks for a person"),
        pytest.param({"User-Password": "", "Service-Type": None}, True, id="the packet does not say"),
        pytest.param({"User-Password": None, **chap("")}, True, id="CHAP of nothing"),
        pytest.param({"User-Password": None, **chap(MAC)}, True, id="CHAP of the name"),
        pytest.param({"User-Password": None, **chap("s3cret")}, False, id="CHAP of a password"),
        pytest.param({"User-Password": "", **chap("s3cret")}, False, id="CHAP says more than an empty User-Password"),
        pytest.param(
            {"User-Password": None, **chap(""), "CHAP-Challenge": octets(b"other")}, False, id="another challenge"
        ),
        pytest.param({"User-Password": None, **chap(""), "CHAP-Challenge": None}, False, id="CHAP, no challenge"),
        pytest.param({"User-Password": None, **chap(""), "CHAP-Password": "0x"}, False, id="CHAP of no length"),
        pytest.param({"User-Password": None, **chap(""), "CHAP-Password": "0x05"}, False, id="CHAP cut off"),
        pytest.param({"User-Password": None, **chap(""), "CHAP-Password": "noise"}, False, id="CHAP that is no octets"),
        pytest.param({"User-Password": None, **chap(""), "CHAP-Challenge": "0x0"}, False, id="half an octet"),
        pytest.param({"User-Password": "", "MS-CHAP-Challenge": "0x00"}, False, id="MS-CHAP is a person's"),
    ],
)
def test_a_device_asks_for_itself_only_if_its_password_says_no_more(
    values: dict[str, str | None], is_mac_login: bool
) -> None:
    request = access_request(pairs(HOTSPOT_LOGIN | {"User-Name": MAC} | values))
    assert request.is_mac_login is is_mac_login


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"User-Name": None}, "User-Name"),
        ({"User-Name": ""}, "User-Name"),
        ({"Kibali-Router-Id": None}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": ""}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": "localhost"}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": "-7"}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": "7 "}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": "７"}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": "9" * 19}, "Kibali-Router-Id"),
    ],
)
def test_a_login_without_a_name_or_a_router_is_malformed(values: dict[str, str | None], says: str) -> None:
    with pytest.raises(MalformedRequest, match=says):
        access_request(pairs(HOTSPOT_LOGIN | values))


def test_an_empty_packet_is_malformed() -> None:
    with pytest.raises(MalformedRequest):
        access_request(())
    with pytest.raises(MalformedRequest):
        accounting_request((), NOW)


def test_the_error_of_a_malformed_login_does_not_show_the_password() -> None:
    with pytest.raises(MalformedRequest) as caught:
        login(Kibali_Router_Id=None)
    assert "s3cret" not in str(caught.value)


def test_of_a_repeated_attribute_the_first_counts_as_for_freeradius_itself() -> None:
    # sites/authentication checks the first User-Name; the module must not look up another one.
    doubled = (*pairs(HOTSPOT_LOGIN), ("User-Name", "mallory"), ("Calling-Station-Id", "AA:AA:AA:AA:AA:AA"))
    assert access_request(doubled) == login()


def test_pairs_may_come_from_any_iterable() -> None:
    assert access_request(iter(pairs(HOTSPOT_LOGIN))) == login()
    assert accounting_request(iter(pairs(INTERIM)), NOW) == interim()


@pytest.mark.parametrize("name", ["Élodie", "名前", "a\0b", "\udcff", "a" * 5000, " ", "';--", "0x00"])
def test_a_strange_name_is_passed_on_as_it_is(name: str) -> None:
    assert login(User_Name=name).user_name == name


# ---- Accounting-Request ----

INTERIM: dict[str, str | None] = {
    "Acct-Status-Type": "Interim-Update",
    "NAS-Port-Type": "Ethernet",
    "Calling-Station-Id": MAC,
    "Called-Station-Id": "hotspot1",
    "NAS-Port-Id": "bridge",
    "User-Name": "alice",
    "NAS-Port": "2147483649",
    "Acct-Session-Id": "80000001",
    "Framed-IP-Address": "10.5.50.2",
    "Class": octets(OURS),
    "Event-Timestamp": "Nov 22 2026 20:29:48 UTC",
    "Acct-Input-Octets": "1000",
    "Acct-Output-Octets": "2000",
    "Acct-Input-Gigawords": "0",
    "Acct-Output-Gigawords": "1",
    "Acct-Session-Time": "600",
    "Acct-Delay-Time": "0",
    "Service-Type": "Login-User",
    "NAS-Identifier": "MikroTik",
    "NAS-IP-Address": "10.0.0.1",
    "Kibali-Router-Id": "7",
}


def interim(**values: str | None) -> AccountingRequest:
    record = accounting_request(pairs(INTERIM | {name.replace("_", "-"): value for name, value in values.items()}), NOW)
    assert isinstance(record, AccountingRequest)
    return record


def test_an_interim_update() -> None:
    assert interim() == AccountingRequest(
        status_type="Interim-Update",
        session_key=session_key(7, "80000001", OURS, "alice", MAC),
        router_id=7,
        subscription_id=42,
        user_name="alice",
        acct_session_id="80000001",
        radius_class=OURS,
        service="hotspot",
        calling_station_id=MAC,
        called_station_id="hotspot1",
        nas_ip_address="10.0.0.1",
        nas_port=2147483649,
        nas_port_id="bridge",
        framed_ip_address="10.5.50.2",
        framed_ipv6_prefix=None,
        delegated_ipv6_prefix=None,
        event_at=datetime(2026, 11, 22, 20, 29, 48, tzinfo=UTC),
        session_time_s=600,
        input_octets=1000,
        output_octets=(1 << 32) + 2000,
        terminate_cause=None,
    )


def test_a_packet_with_nothing_but_what_it_must_have() -> None:
    least = {"Acct-Status-Type": "Start", "Acct-Session-Id": "1", "Kibali-Router-Id": "7"}
    assert accounting_request(pairs({**least}), NOW) == AccountingRequest(
        status_type="Start",
        session_key=session_key(7, "1", None, "", None),
        router_id=7,
        subscription_id=None,
        user_name="",
        acct_session_id="1",
        radius_class=None,
        service="hotspot",
        calling_station_id=None,
        called_station_id=None,
        nas_ip_address=None,
        nas_port=None,
        nas_port_id=None,
        framed_ip_address=None,
        framed_ipv6_prefix=None,
        delegated_ipv6_prefix=None,
        event_at=NOW,
        session_time_s=0,
        input_octets=0,
        output_octets=0,
        terminate_cause=None,
    )


@pytest.mark.parametrize(
    ("status_type", "kind"),
    [
        ("Start", AccountingRequest),
        ("Interim-Update", AccountingRequest),
        ("Stop", AccountingRequest),
        ("Accounting-On", RouterRestart),
        ("Accounting-Off", RouterRestart),
        ("Tunnel-Start", type(None)),
        ("Failed", type(None)),
        ("99", type(None)),
    ],
)
def test_status_types(status_type: str, kind: type) -> None:
    record = accounting_request(pairs(INTERIM | {"Acct-Status-Type": status_type}), NOW)
    assert type(record) is kind


def test_a_restart_needs_no_session_and_happened_when_the_router_says() -> None:
    restart = {"Acct-Status-Type": "Accounting-On", "Kibali-Router-Id": "7", "Acct-Delay-Time": "30"}
    assert accounting_request(pairs({**restart}), NOW) == RouterRestart(7, NOW - timedelta(seconds=30))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"Acct-Status-Type": None}, "Acct-Status-Type"),
        ({"Acct-Session-Id": None}, "Acct-Session-Id"),
        ({"Acct-Session-Id": ""}, "Acct-Session-Id"),
        ({"Kibali-Router-Id": None}, "Kibali-Router-Id"),
        ({"Kibali-Router-Id": None, "Acct-Status-Type": "Accounting-On"}, "Kibali-Router-Id"),
    ],
)
def test_a_record_of_no_session_or_router_is_malformed(values: dict[str, str | None], says: str) -> None:
    with pytest.raises(MalformedRequest, match=says):
        accounting_request(pairs(INTERIM | values), NOW)


def test_only_a_stop_has_a_cause() -> None:
    assert interim(Acct_Status_Type="Stop", Acct_Terminate_Cause="Lost-Carrier").terminate_cause == "Lost-Carrier"
    assert interim(Acct_Status_Type="Stop").terminate_cause is None
    assert interim(Acct_Terminate_Cause="Lost-Carrier").terminate_cause is None


@pytest.mark.parametrize(
    ("octets_", "gigawords", "total"),
    [
        pytest.param("0", "0", 0, id="nothing"),
        pytest.param("4294967295", "0", (1 << 32) - 1, id="the last below 4 GiB"),
        pytest.param("0", "1", 1 << 32, id="4 GiB"),
        pytest.param("5", None, 5, id="no gigawords: below 4 GiB"),
        pytest.param(None, "1", 1 << 32, id="no octets"),
        pytest.param(None, None, 0, id="neither"),
        pytest.param("0", str(1 << 20), 1 << 52, id="the most that is believed"),
        pytest.param("1", str(1 << 20), 0, id="one more is noise"),
        pytest.param("4294967295", "4294967295", 0, id="all ones is noise"),
        pytest.param("4294967296", "1", 1 << 32, id="octets beyond 32 bits are noise"),
        pytest.param("-1", "1", 1 << 32, id="negative"),
        pytest.param("1e9", "0", 0, id="no integer"),
        pytest.param("１", "0", 0, id="full-width digit"),
        pytest.param("", "", 0, id="empty"),
        pytest.param("9" * 5000, "9" * 5000, 0, id="more digits than int() takes"),
    ],
)
@pytest.mark.parametrize("direction", ["input", "output"])
def test_counters_are_64_bits_and_noise_is_0(
    direction: str, octets_: str | None, gigawords: str | None, total: int
) -> None:
    name = f"Acct-{direction.title()}"
    values: dict[str, Any] = {f"{name}-Octets": octets_, f"{name}-Gigawords": gigawords}
    record = accounting_request(pairs(INTERIM | values), NOW)
    assert getattr(record, f"{direction}_octets") == total


@pytest.mark.parametrize(
    ("name", "field", "value", "expected"),
    [
        ("Acct-Session-Time", "session_time_s", "4294967295", 0),
        ("Acct-Session-Time", "session_time_s", str(10 * 366 * 86400), 10 * 366 * 86400),
        ("Acct-Session-Time", "session_time_s", str(10 * 366 * 86400 + 1), 0),
        ("Acct-Session-Time", "session_time_s", "x", 0),
        ("NAS-Port", "nas_port", "4294967295", 4294967295),
        ("NAS-Port", "nas_port", "4294967296", None),
        ("NAS-Port", "nas_port", "0", None),
        ("NAS-Port", "nas_port", "slot1", None),
        ("Calling-Station-Id", "calling_station_id", "bc2411-eb564d", MAC),
        ("Calling-Station-Id", "calling_station_id", "254712345678x", None),
        ("Service-Type", "service", "Framed-User", "pppoe"),
        ("Service-Type", "service", "Call-Check", "hotspot"),
        ("Framed-IPv6-Prefix", "framed_ipv6_prefix", "2001:db8:1::/64", "2001:db8:1::/64"),
        ("Framed-IPv6-Prefix", "framed_ipv6_prefix", "2001:db8:1::5/64", "2001:db8:1::/64"),
        ("Delegated-IPv6-Prefix", "delegated_ipv6_prefix", "2001:db8:ff00:12::/56", "2001:db8:ff00::/56"),
        ("Delegated-IPv6-Prefix", "delegated_ipv6_prefix", "noise", None),
        ("Delegated-IPv6-Prefix", "delegated_ipv6_prefix", "2001:db8::/129", None),
    ],
)
def test_other_values(name: str, field: str, value: str, expected: object) -> None:
    assert getattr(accounting_request(pairs(INTERIM | {name: value}), NOW), field) == expected


def test_a_nas_may_have_an_ipv6_address() -> None:
    assert interim(NAS_IP_Address=None, NAS_IPv6_Address="2001:db8::1").nas_ip_address == "2001:db8::1"
    assert interim(NAS_IPv6_Address="2001:db8::1").nas_ip_address == "10.0.0.1"


def test_names_and_ids_are_no_longer_than_an_attribute_can_be() -> None:
    record = interim(User_Name="n" * 5000, Acct_Session_Id="s" * 5000)
    assert (len(record.user_name), len(record.acct_session_id)) == (253, 253)
    assert record.session_key == session_key(7, "s" * 253, OURS, "n" * 253, MAC)


# ---- Class ----


@pytest.mark.parametrize(
    ("classes", "radius_class", "subscription_id"),
    [
        pytest.param([], None, None, id="missing"),
        pytest.param([octets(OURS)], OURS, 42, id="ours"),
        pytest.param([octets(OURS).upper().replace("0X", "0x")], OURS, 42, id="ours, capital digits"),
        pytest.param([octets("proxy"), octets(OURS)], OURS, 42, id="a proxy's before ours"),
        pytest.param([octets(OURS), octets("proxy")], OURS, 42, id="a proxy's after ours"),
        pytest.param([octets("proxy"), octets("other")], "proxy", None, id="two of others: the first"),
        pytest.param([octets(b"\xff\xfe"), octets("other")], "other", None, id="one that is no text"),
        pytest.param([octets(b"\xff\xfe")], None, None, id="only one that is no text"),
        pytest.param([octets("a\0b")], None, None, id="NUL, which PostgreSQL does not take"),
        pytest.param([octets(OURS + "\0")], None, None, id="ours with a NUL is not ours"),
        pytest.param(["0x"], None, None, id="empty"),
        pytest.param(["0x", octets("other")], "other", None, id="empty before another"),
        pytest.param(["0x0"], None, None, id="half an octet"),
        pytest.param(["noise"], None, None, id="no octets"),
        pytest.param([octets("k1.43.forged")], "k1.43.forged", None, id="almost ours"),
        pytest.param(
            [octets("k1.43.0123456789abcdef"), octets(OURS)], "k1.43.0123456789abcdef", 43, id="two of ours: the first"
        ),
    ],
)
def test_class(classes: list[str], radius_class: str | None, subscription_id: int | None) -> None:
    several = (*pairs(INTERIM | {"Class": None}), *(("Class", value) for value in classes))
    record = accounting_request(several, NOW)
    assert isinstance(record, AccountingRequest)
    assert (record.radius_class, record.subscription_id) == (radius_class, subscription_id)
    assert record.session_key == session_key(7, "80000001", radius_class, "alice", MAC)


def test_the_address_of_the_nas_has_no_part_in_the_identity() -> None:
    assert interim(NAS_IP_Address="10.9.9.9", NAS_Port="5").session_key == interim().session_key


# ---- when it happened ----


@pytest.mark.parametrize(
    ("values", "event_at"),
    [
        pytest.param({"Event-Timestamp": None}, "20:30:00", id="neither: now"),
        pytest.param({"Event-Timestamp": None, "Acct-Delay-Time": "90"}, "20:28:30", id="Acct-Delay-Time"),
        pytest.param({"Event-Timestamp": None, "Acct-Delay-Time": "-5"}, "20:30:00", id="a delay that is none"),
        pytest.param({"Event-Timestamp": None, "Acct-Delay-Time": "4294967295"}, "20:30:00", id="a delay of noise"),
        pytest.param({"Acct-Delay-Time": "90"}, "20:29:48", id="Event-Timestamp is the event's own time"),
        pytest.param({"Event-Timestamp": "Nov 22 2026 20:35:00 UTC"}, "20:35:00", id="five minutes ahead"),
        pytest.param({"Event-Timestamp": "Nov 22 2026 20:35:01 UTC"}, "20:30:00", id="further: its clock is wrong"),
        pytest.param({"Event-Timestamp": "Oct 23 2026 20:30:00 UTC"}, "Oct 23", id="thirty days ago"),
        pytest.param({"Event-Timestamp": "Oct 23 2026 20:29:59 UTC"}, "20:30:00", id="longer ago"),
        pytest.param(
            {"Event-Timestamp": "Jan  2 1970 00:00:05 UTC", "Acct-Delay-Time": "90"},
            "20:28:30",
            id="a router that booted without a clock",
        ),
        pytest.param({"Event-Timestamp": "Nov  2 2026 00:00:05 UTC"}, "Nov 2", id="a day of one digit"),
        pytest.param({"Event-Timestamp": "noise"}, "20:30:00", id="no date"),
        pytest.param({"Event-Timestamp": "Nov 31 2026 20:29:48 UTC"}, "20:30:00", id="no day of the calendar"),
        pytest.param({"Event-Timestamp": "1795379388"}, "20:30:00", id="a bare number"),
        pytest.param({"Event-Timestamp": ""}, "20:30:00", id="empty"),
    ],
)
def test_event_at(values: dict[str, str | None], event_at: str) -> None:
    expected = {
        "Oct 23": datetime(2026, 10, 23, 20, 30, tzinfo=UTC),
        "Nov 2": datetime(2026, 11, 2, 0, 0, 5, tzinfo=UTC),
    }.get(event_at) or datetime.fromisoformat(f"2026-11-22T{event_at}+00:00")
    record = accounting_request(pairs(INTERIM | values), NOW)
    assert isinstance(record, AccountingRequest)
    assert record.event_at == expected


@pytest.mark.parametrize(
    ("process_zone", "printed"),
    [
        ("Africa/Nairobi", "Nov 22 2026 23:29:48 EAT"),
        ("America/New_York", "Nov 22 2026 15:29:48 EST"),
        ("Europe/Berlin", "Nov 22 2026 21:29:48 CET"),
        ("Europe/London", "Nov 22 2026 20:29:48 GMT"),
    ],
)
def test_freeradius_prints_dates_in_the_zone_of_its_process(
    process_zone: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in zone(monkeypatch, process_zone):
        assert interim(Event_Timestamp=printed).event_at == datetime(2026, 11, 22, 20, 29, 48, tzinfo=UTC)


# ---- whatever the packet ----

NAMES = st.sampled_from([*INTERIM, *HOTSPOT_LOGIN, "CHAP-Password", "CHAP-Challenge", "Framed-IPv6-Prefix"])
VALUES = st.sampled_from([*filter(None, INTERIM.values()), "0x", MAC, "Stop", "9" * 30]) | st.text(max_size=30)
HOSTILE = st.lists(st.tuples(NAMES, VALUES | st.text(alphabet="\0\udcff\n0x9", max_size=30)), max_size=12)


@given(HOSTILE)
def test_nothing_a_packet_holds_raises_anything_but_malformed(hostile: list[tuple[str, str]]) -> None:
    complete = pairs(INTERIM)
    for packet in (tuple(hostile), (*hostile, *complete)):
        try:
            record = accounting_request(packet, NOW)
        except MalformedRequest:
            continue
        if isinstance(record, AccountingRequest):
            assert 0 <= record.input_octets <= 1 << 52
            assert 0 <= record.output_octets <= 1 << 52
            assert 0 <= record.session_time_s <= 10 * 366 * 86400
            assert NOW - timedelta(days=31) < record.event_at <= NOW + timedelta(minutes=5)
            assert "\0" not in (record.radius_class or "")
    for packet in (tuple(hostile), (*hostile, *pairs(HOTSPOT_LOGIN))):
        try:
            request = access_request(packet)
        except MalformedRequest:
            continue
        assert request.user_name
        assert request.router_id >= 0
