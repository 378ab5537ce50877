"""The CoA client through real UDP: against peers by hand, the fake NAS, and FreeRADIUS's own CoA listener."""

import hmac
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from hashlib import md5
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest

from isp.coa import Adjust, Standing, change, since_start
from isp.entitlement import Accept
from isp.reasons import Reason
from isp.reply import attributes
from settings import Secret
from tasks.coa import CoaClient, NoAnswer, Patience
from tasks.coa_packet import Acked, CoaRequestError, Nacked, SessionIdentity, Target
from tests.fakes.nas import FakeNas, RadiusServer
from tests.fakes.nas_fleet import NasFleet
from tests.fakes.nas_session import OnlineSession, Subscriber
from tests.fakes.nas_wire import Behaviour
from tests.ports import free_port
from tests.radius import soon

SECRET = "a-secret-of-this-test"
PHONE = SessionIdentity("hotspot", "amina", "80a00001", "10.5.50.2", "bc:24:11:eb:56:4d", "bridge")
HOME = SessionIdentity("pppoe", "otieno", "81a00002", None, "BC:24:11:EB:56:4E")
SPEED = (("Mikrotik-Rate-Limit", "1M/4M"),)
QUICK = Patience(first_s=0.1, longest_s=0.4, within_s=1.5)

Replies = list[bytes]
Script = Callable[[bytes], Replies]


def reply(request: bytes, code: int, body: bytes = b"", secret: str = SECRET) -> bytes:
    head = struct.pack("!BBH", code, request[1], 20 + len(body))
    return head + md5(head + request[4:20] + body + secret.encode()).digest() + body


def signed(request: bytes, code: int, secret: str = SECRET) -> bytes:
    """A reply with Message-Authenticator."""
    head = struct.pack("!BBH", code, request[1], 38)
    zeros = bytes((80, 18)) + bytes(16)
    mac = hmac.digest(secret.encode(), head + request[4:20] + zeros, "md5")
    return reply(request, code, zeros[:2] + mac)


def ack(request: bytes) -> bytes:
    return reply(request, request[0] + 1)


def nak(request: bytes, error_cause: int) -> bytes:
    return reply(request, request[0] + 2, struct.pack("!BBI", 101, 6, error_cause))


class Peer:
    """A router by hand: notes each datagram and sends what the script makes of it, back to where it came from."""

    def __init__(self, script: Script, address: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 0))
        self.target = Target(address, Secret(SECRET), self._socket.getsockname()[1])
        self.heard: list[tuple[bytes, tuple[str, int], float]] = []
        self._script = script
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            datagram, sender = self._socket.recvfrom(4096)
            if datagram == b"end":
                return
            self.heard.append((datagram, sender[:2], time.monotonic()))
            for answer in self._script(datagram):
                self._socket.sendto(answer, sender)

    def close(self) -> None:
        self._socket.sendto(b"end", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@contextmanager
def peer(script: Script, address: str = "127.0.0.1") -> Iterator[Peer]:
    running = Peer(script, address)
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def client() -> Iterator[CoaClient]:
    with CoaClient(patience=QUICK) as made:
        yield made


def attribute(datagram: bytes, number: int) -> bytes | None:
    at = 20
    while at < len(datagram):
        if datagram[at] == number:
            return datagram[at + 2 : at + datagram[at + 1]]
        at += datagram[at + 1]
    return None


# ---- what is sent ----


def test_a_disconnect_names_the_session_by_all_that_is_known_of_it() -> None:
    with peer(lambda request: [ack(request)]) as nas, CoaClient(clock=lambda: 1_800_000_000.7) as client:
        assert isinstance(client.disconnect(nas.target, PHONE).result(), Acked)
        datagram = nas.heard[0][0]
    assert datagram[0] == 40
    assert [attribute(datagram, number) for number in (1, 44, 8, 31, 87, 55)] == [
        b"amina",
        b"80a00001",
        bytes((10, 5, 50, 2)),
        b"BC:24:11:EB:56:4D",  # as RouterOS writes it
        b"bridge",
        struct.pack("!I", 1_800_000_000),
    ]
    assert md5(datagram[:4] + bytes(16) + datagram[20:] + SECRET.encode()).digest() == datagram[4:20]
    blank = datagram[:4] + bytes(16) + b"\x50\x12" + bytes(16) + datagram[38:]
    assert attribute(datagram, 80) == hmac.digest(SECRET.encode(), blank, "md5")


def test_a_repeated_request_is_the_same_datagram_from_the_same_port(client: CoaClient) -> None:
    with peer(lambda request: [ack(request)] if len(nas.heard) == 4 else []) as nas:
        answer = client.coa(nas.target, PHONE, SPEED).result()
    assert isinstance(answer, Acked)
    assert answer.tries == 4
    assert len({(datagram, sender) for datagram, sender, _ in nas.heard}) == 1
    moments = [at for _, _, at in nas.heard]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert [pause > least for pause, least in zip(pauses, (0.08, 0.17, 0.35), strict=True)] == [True] * 3, pauses
    assert (client.counters.sent, client.counters.repeated, client.counters.acked) == (4, 3, 1)


BAD_ORDERS: dict[str, tuple[Callable[[CoaClient, Target], object], str]] = {
    "an address that is none": (lambda client, target: Target("router.example", target.secret), "no IP address"),
    "everybody's address": (lambda client, target: Target("224.0.0.1", target.secret), "no address of one router"),
    "no port": (lambda client, target: Target("127.0.0.1", target.secret, 0), "no UDP port"),
    "no secret": (lambda client, target: Target("127.0.0.1", Secret("")), "no RADIUS secret"),
    "a hotspot session without its address": (
        lambda client, target: client.disconnect(target, SessionIdentity("hotspot", "a", "1", None, None)),
        "no Framed-IP-Address",
    ),
    "no IPv4 address of the session": (
        lambda client, target: client.disconnect(target, SessionIdentity("pppoe", "a", "1", "fe80::1", None)),
        "The value of Framed-IP-Address is no ipaddr.",
    ),
    "a name too long": (
        lambda client, target: client.disconnect(target, SessionIdentity("pppoe", "ä" * 127, "1", None, None)),
        "The value of User-Name is longer than 253 octets.",
    ),
    "a rate too long for a vendor's attribute": (
        lambda client, target: client.coa(target, PHONE, [("Mikrotik-Rate-Limit", "1" * 248)]),
        "The value of Mikrotik-Rate-Limit is longer than 247 octets.",
    ),
    "text that is none": (
        lambda client, target: client.coa(target, PHONE, [("Mikrotik-Rate-Limit", "\ud800")]),
        "The value of Mikrotik-Rate-Limit is no string.",
    ),
    "no number": (
        lambda client, target: client.coa(target, PHONE, [("Session-Timeout", "soon")]),
        "The value of Session-Timeout is no integer.",
    ),
    "a number beyond 32 bits": (
        lambda client, target: client.coa(target, PHONE, [("Session-Timeout", str(1 << 32))]),
        "The value of Session-Timeout is no integer.",
    ),
    "an attribute that is none": (
        lambda client, target: client.coa(target, PHONE, [("Speed", "1")]),
        "no attribute Speed",
    ),
    "another session": (
        lambda client, target: client.coa(target, PHONE, [("Framed-IP-Address", "10.0.0.1")]),
        "CoA can not change it",
    ),
    "nothing": (lambda client, target: client.coa(target, PHONE, []), "changes nothing"),
    "more than a packet holds": (
        lambda client, target: client.coa(target, PHONE, [("Mikrotik-Mark-Id", "m" * 200)] * 20),
        "longer than the 4096 octets",
    ),
}


@pytest.mark.parametrize(("order", "problem"), BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_what_can_not_be_sent_is_refused_at_once(
    client: CoaClient, order: Callable[[CoaClient, Target], object], problem: str
) -> None:
    with peer(lambda request: []) as nas:
        with pytest.raises(CoaRequestError, match=problem) as caught:
            order(client, nas.target)
        assert SECRET not in str(caught.value)
    assert nas.heard == []


# ---- what is believed ----

ANSWERS: dict[str, tuple[Script, int | None, str]] = {
    "a known Error-Cause": (lambda request: [nak(request, 503)], 503, "Session-Context-Not-Found"),
    "an unknown one": (lambda request: [nak(request, 999)], 999, "999"),
    "none": (lambda request: [reply(request, request[0] + 2)], None, "none"),
}


@pytest.mark.parametrize("code", ["coa", "disconnect"])
@pytest.mark.parametrize(("script", "error_cause", "name"), ANSWERS.values(), ids=ANSWERS)
def test_a_nak_is_an_answer(client: CoaClient, code: str, script: Script, error_cause: int | None, name: str) -> None:
    with peer(script) as nas:
        asked = client.coa(nas.target, PHONE, SPEED) if code == "coa" else client.disconnect(nas.target, PHONE)
        answer = asked.result()
    assert isinstance(answer, Nacked)
    assert (answer.error_cause, answer.name, answer.session_is_gone) == (error_cause, name, error_cause == 503)


def cut_short(request: bytes) -> bytes:
    return ack(request)[:-1]


# What comes before the real answer, and where it is counted.
NOT_BELIEVED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another secret": (lambda request: reply(request, request[0] + 1, secret="another"), "unverified"),
    "to another request": (lambda request: ack(bytes([*request[:4], *os.urandom(16)])), "unverified"),
    "to another kind of request": (lambda request: reply(request, 41 if request[0] == 43 else 44), "unverified"),
    "an Access-Accept": (lambda request: reply(request, 2), "unverified"),
    "a Message-Authenticator of another secret": (lambda request: signed(request, 44, "another"), "unverified"),
    "shorter than it says": (cut_short, "malformed"),
    "an attribute of no length": (lambda request: reply(request, 44, b"\x12\x00"), "malformed"),
    "noise": (lambda request: bytes((44, request[1])) + b"\xff" * 60, "malformed"),
    "another identifier": (lambda request: ack(bytes((request[0], request[1] ^ 1, *request[2:]))), "late"),
    "one octet": (lambda request: b"\x2c", "late"),
    "nothing": (lambda request: b"", "late"),
}


@pytest.mark.parametrize(("answer", "counted_as"), NOT_BELIEVED.values(), ids=NOT_BELIEVED)
def test_what_does_not_verify_is_dropped_and_counted(
    client: CoaClient, answer: Callable[[bytes], bytes], counted_as: str
) -> None:
    with peer(lambda request: [answer(request), nak(request, 503)]) as nas:
        assert isinstance(client.coa(nas.target, PHONE, SPEED).result(), Nacked)
    counters = client.counters
    counts = {kind: getattr(counters, kind) for kind in ("malformed", "unverified", "late", "stray")}
    assert counts == {**dict.fromkeys(counts, 0), counted_as: 1}


def test_an_answer_from_elsewhere_is_dropped_and_counted(client: CoaClient) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))

        def answered_by_another_port(request: bytes) -> Replies:
            other.sendto(ack(request), nas.heard[-1][1])
            time.sleep(0.02)
            return [nak(request, 503)]

        with peer(answered_by_another_port) as nas:
            assert isinstance(client.coa(nas.target, PHONE, SPEED).result(), Nacked)
    assert client.counters.stray == 1


def test_a_message_authenticator_that_is_right_is_believed(client: CoaClient) -> None:
    with peer(lambda request: [signed(request, 44)]) as nas:
        assert isinstance(client.coa(nas.target, PHONE, SPEED).result(), Acked)
    assert client.counters.unverified == 0


def test_a_second_answer_is_counted_as_late_and_spoils_nothing(client: CoaClient) -> None:
    with peer(lambda request: [ack(request)] * 3) as nas:
        for _ in range(3):
            assert isinstance(client.coa(nas.target, PHONE, SPEED).result(), Acked)
        client.coa(nas.target, PHONE, SPEED).result()
    assert client.counters.acked == 4
    assert client.counters.late >= 6


def test_a_wrong_secret_is_silence_that_says_what_to_look_at(client: CoaClient) -> None:
    with (
        peer(lambda request: [reply(request, 44, secret="another")]) as nas,
        pytest.raises(NoAnswer, match="is the router's RADIUS secret the one we have") as caught,
    ):
        client.coa(nas.target, PHONE, SPEED).result()
    assert SECRET not in repr(caught.value) + str(caught.value) + repr(nas.target)


def test_a_router_at_an_ipv6_address_is_asked_there(client: CoaClient) -> None:
    with peer(lambda request: [ack(request)], "::1") as nas:
        assert isinstance(client.disconnect(nas.target, PHONE).result(), Acked)


# ---- many at once ----


def test_silence_is_an_exception_that_counts_the_tries(client: CoaClient) -> None:
    began_at = time.monotonic()
    with (
        peer(lambda request: []) as nas,
        pytest.raises(NoAnswer, match=r"did not answer within 1.3 s \(5 tries\)") as e,
    ):
        client.disconnect(nas.target, PHONE, within_s=1.3).result()
    assert e.value.tries == len(nas.heard) == 5  # at 0, 0.1, 0.3, 0.7 and 1.1 s, give or take a tenth
    assert 1.2 < time.monotonic() - began_at < 3


def test_a_closed_port_is_silence_too(client: CoaClient) -> None:
    with pytest.raises(NoAnswer):
        client.disconnect(Target("127.0.0.1", Secret(SECRET), free_port()), PHONE, within_s=0.3).result()


def test_only_so_many_requests_are_under_way_at_one_router() -> None:
    with peer(lambda request: []) as nas, CoaClient(patience=QUICK, in_flight_per_nas=3) as client:
        asked = [client.disconnect(nas.target, PHONE, within_s=0.5) for _ in range(10)]
        errors = [future.exception() for future in asked]
        tries = [error.tries for error in errors if isinstance(error, NoAnswer)]
    assert sorted(tries) == [0] * 7 + [3] * 3
    assert "not sent, others to it were waiting" in str(errors[-1])
    assert len({datagram[1] for datagram, _, _ in nas.heard}) == 3


def test_a_thousand_requests_to_one_router_take_four_source_ports() -> None:
    with peer(lambda request: []) as nas, CoaClient(patience=QUICK, in_flight_per_nas=1024) as client:
        asked = [client.disconnect(nas.target, PHONE, within_s=30) for _ in range(1000)]
        # On a busy machine a second is not enough to send them all, and what is not sent in time never is.
        soon(lambda: len({(sender, datagram[1]) for datagram, sender, _ in nas.heard}) == 1000)
        heard = [(sender, datagram[1]) for datagram, sender, _ in nas.heard]
        assert not any(future.done() for future in asked)
    assert len({sender for sender, _ in heard}) == 4
    assert len(set(heard)) == 1000


def test_identifiers_are_used_again_but_not_at_once(client: CoaClient) -> None:
    with peer(lambda request: [ack(request)]) as nas:
        for _ in range(600):
            client.disconnect(nas.target, PHONE).result()
    identifiers = [datagram[1] for datagram, _, _ in nas.heard]
    assert identifiers == [number % 256 for number in range(600)]
    assert len({sender for _, sender, _ in nas.heard}) == 1


def test_a_dead_router_delays_only_its_own_requests(client: CoaClient) -> None:
    with peer(lambda request: []) as dead, peer(lambda request: [ack(request)]) as living:
        lost = [client.disconnect(dead.target, PHONE) for _ in range(100)]
        began_at = time.monotonic()
        for future in [client.disconnect(living.target, PHONE) for _ in range(100)]:
            assert isinstance(future.result(), Acked)
        assert time.monotonic() - began_at < 1
        assert all(isinstance(future.exception(), NoAnswer) for future in lost)
        assert time.monotonic() - began_at < 4


def test_closing_cancels_what_is_under_way() -> None:
    with peer(lambda request: []) as nas:
        client = CoaClient()
        asked = [client.disconnect(nas.target, PHONE) for _ in range(40)]
        client.close()
        client.close()
        for future in asked:
            with pytest.raises(CancelledError):
                future.result(timeout=1)
        with pytest.raises(RuntimeError, match="closed"):
            client.disconnect(nas.target, PHONE)


def test_a_client_from_before_a_fork_says_so(client: CoaClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        with pytest.raises(RuntimeError, match="make one after the fork"):
            client.disconnect(Target("127.0.0.1", Secret(SECRET)), PHONE)


# ---- the fake NAS and FreeRADIUS ----


@pytest.fixture
def fake() -> Iterator[tuple[NasFleet, FakeNas]]:
    nas = FakeNas(RadiusServer("127.0.0.1", free_port(), free_port()), SECRET, address="127.0.3.1", timeout_s=0.2)
    with NasFleet([nas]) as fleet:
        yield fleet, nas


def online(fleet: NasFleet, nas: FakeNas, accept: Accept, service: str = "hotspot") -> OnlineSession:
    subscriber = Subscriber("amina", "", "BC:24:11:EB:56:4D", "hotspot" if service == "hotspot" else "pppoe")
    values = {name: int(value) if value.isdigit() else value for name, value in attributes(accept, service)}
    return fleet.call(nas.admit, subscriber, values)


def identity(session: OnlineSession) -> SessionIdentity:
    subscriber = session.subscriber
    return SessionIdentity(
        subscriber.service,
        subscriber.user_name,
        session.acct_session_id,
        session.framed_ip_address,
        subscriber.mac.lower(),
    )


def target(nas: FakeNas) -> Target:
    return Target(nas.address, Secret(SECRET), nas.coa_port)


@pytest.mark.parametrize("service", ["hotspot", "pppoe"])
def test_a_change_of_entitlement_becomes_the_routers_truth(
    client: CoaClient, fake: tuple[NasFleet, FakeNas], service: str
) -> None:
    fleet, nas = fake
    first = Accept(Reason.OK, "2M/8M", 3600, None, 300, input_limit_octets=5 << 32, address_list="home")
    session = online(fleet, nas, first, service)
    fleet.call(nas.use, session, 1 << 32, 0)
    then = Accept(Reason.OK, "4M/16M", 7200, 600, 300, input_limit_octets=1000, address_list="home")
    done = change(since_start(first), then, Standing(10, 1 << 32, 0), service)
    assert isinstance(done, Adjust)
    assert isinstance(client.coa(target(nas), identity(session), done.coa).result(), Acked)
    assert (session.rate_limit, session.session_timeout_s) == ("4M/16M", 7210)
    assert session.attributes["Idle-Timeout"] == 600
    assert session.limit_octets("Recv") == (1 << 32) + 1000 == done.applied.input_limit_octets
    assert nas.lists_of(session) == {"home"}


def test_every_request_gets_through_where_a_twentieth_of_the_packets_is_lost_each_way() -> None:
    nas = FakeNas(
        RadiusServer("127.0.0.1", free_port(), free_port()), SECRET, address="127.0.3.2", behaviour=Behaviour(loss=0.05)
    )
    with NasFleet([nas]) as fleet, CoaClient(in_flight_per_nas=64) as client:
        sessions = [
            fleet.call(nas.admit, Subscriber(f"user{number}", "", f"BC:24:11:00:00:{number:02X}"), {})
            for number in range(200)
        ]
        asked = [client.coa(target(nas), identity(session), SPEED) for session in sessions]
        answers = [future.result() for future in asked]
        assert all(isinstance(answer, Acked) for answer in answers)
        assert {session.rate_limit for session in sessions} == {"1M/4M"}
        assert len(nas.heard) == 200  # once each, however often they were sent
        assert client.counters.repeated > 0


def test_a_disconnect_whose_ack_was_lost_may_be_answered_with_session_context_not_found(
    client: CoaClient, fake: tuple[NasFleet, FakeNas]
) -> None:
    fleet, nas = fake
    nas.behaviour.detects_duplicates = False
    nas.behaviour.delay_s = 0.15  # longer than until the second try
    session = online(fleet, nas, Accept(Reason.OK, "2M/8M", None, None, 300))
    first = client.disconnect(target(nas), identity(session)).result()
    assert isinstance(first, Acked)
    again = client.disconnect(target(nas), identity(session)).result()
    assert isinstance(again, Nacked)
    assert again.session_is_gone
    assert [heard.answer for heard in nas.heard][:2] == ["ACK", 503]


RADIUSD_CONF = """
name = freeradius
prefix = /usr
raddbdir = {directory}
run_dir = {directory}
logdir = {directory}
libdir = /usr/lib/freeradius
pidfile =
security {{
    allow_core_dumps = no
}}
thread pool {{
    start_servers = 1
}}
client us {{
    ipaddr = 127.0.0.1
    secret = {secret}
    require_message_authenticator = yes
}}
modules {{
    always reject {{
        rcode = reject
    }}
    always ok {{
        rcode = ok
    }}
}}
server coa {{
    listen {{
        type = coa
        ipaddr = 127.0.0.1
        port = {port}
    }}
    recv-coa {{
        if (&User-Name == "nobody") {{
            update reply {{
                Error-Cause := Session-Context-Not-Found
            }}
            reject
        }}
        ok
    }}
    send-coa {{
        ok
    }}
}}
"""


@pytest.fixture(scope="module")
def freeradius(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Target, Path]]:
    """FreeRADIUS as a router: verifies and decodes what it is sent, and writes that down."""
    directory, port = tmp_path_factory.mktemp("coa"), free_port()
    (directory / "radiusd.conf").write_text(RADIUSD_CONF.format(directory=directory, secret=SECRET, port=port))
    (directory / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["freeradius", "-fxx", "-l", "stdout", "-d", directory], stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 20
        while "Ready to process requests" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Target("127.0.0.1", Secret(SECRET), port), log
    finally:
        process.terminate()
        process.wait(10)


def test_freeradius_accepts_and_reads_our_coa_request(client: CoaClient, freeradius: tuple[Target, Path]) -> None:
    target, log = freeradius
    garden = Accept(Reason.EXPIRED_WALLED_GARDEN, "256k/256k", 300, 60, 300, total_limit_octets=5 << 32)
    held = Accept(Reason.OK, "2M/8M", 86400, None, 300)
    done = change(held, garden, Standing(3600), "pppoe")
    assert isinstance(done, Adjust)
    assert isinstance(client.coa(target, PHONE, (*done.coa, *done.unlisted)).result(), Acked)
    assert "Received CoA-Request" in log.read_text()
    for line in (
        'User-Name = "amina"',
        'Acct-Session-Id = "80a00001"',
        "Framed-IP-Address = 10.5.50.2",
        'Calling-Station-Id = "BC:24:11:EB:56:4D"',
        'NAS-Port-Id = "bridge"',
        'Mikrotik-Rate-Limit = "256k/256k"',
        "Session-Timeout = 3900",
        "Idle-Timeout = 60",
        "Mikrotik-Total-Limit = 4294967295",
        "Mikrotik-Total-Limit-Gigawords = 4",
        "Event-Timestamp = ",
    ):
        assert line in log.read_text(), line


def test_freeradius_accepts_our_disconnect_request(client: CoaClient, freeradius: tuple[Target, Path]) -> None:
    target, log = freeradius
    assert isinstance(client.disconnect(target, HOME).result(), Acked)
    assert "Received Disconnect-Request" in log.read_text()


def test_freeradiuss_nak_is_understood(client: CoaClient, freeradius: tuple[Target, Path]) -> None:
    answer = client.disconnect(freeradius[0], SessionIdentity("pppoe", "nobody", "1", None, None)).result()
    assert isinstance(answer, Nacked)
    assert answer.name == "Session-Context-Not-Found"


def test_freeradius_drops_what_another_secret_signed(client: CoaClient, freeradius: tuple[Target, Path]) -> None:
    stranger = Target("127.0.0.1", Secret("another"), freeradius[0].port)
    with pytest.raises(NoAnswer):
        client.disconnect(stranger, HOME, within_s=0.5).result()
