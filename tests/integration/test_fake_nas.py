"""The fake NAS is like a router: `radclient` talks to it, it talks to FreeRADIUS, and its truth is true."""

import asyncio
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from cli.nas import Method, NoAnswer
from settings import Secret, Settings
from tasks.coa import CoaClient
from tasks.coa_packet import Acked, SessionIdentity, Target
from tests.databases import fresh_database
from tests.fakes.nas import FakeNas, RadiusServer, Refused
from tests.fakes.nas_fleet import NasFleet
from tests.fakes.nas_session import OnlineSession, Service, SimulatedClock, Subscriber, is_rate_limit
from tests.fakes.nas_wire import Behaviour
from tests.ports import free_port
from tests.radius import PASSWORD, SECRET, Radius, radius_environ, running_radius
from tests.servers import UNPRIVILEGED

MAC = "BC:24:11:EB:56:4D"


@pytest.fixture(scope="module")
def radius(
    postgres_server: Settings,
    template_database: str,
    redis_server: Settings,
    secrets: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    private_directory: Path,
) -> Iterator[Radius]:
    """Our FreeRADIUS, where fake NASes log subscribers in."""
    var = private_directory / tmp_path_factory.mktemp("nas").name
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    with fresh_database(postgres_server, template_database) as url:
        environ = radius_environ(var, secrets, url, redis_server.redis_dsn())
        with running_radius(environ, Settings.load(environ, checkout=private_directory)) as running:
            for number in range(50):
                running.add_router(f"fake {number}", fake_address(number))
            yield running


def fake_address(number: int) -> str:
    return f"127.0.20.{number + 1}"


def server_of(radius: Radius) -> RadiusServer:
    return RadiusServer("127.0.0.1", radius.settings.radius_auth_port, radius.settings.radius_acct_port)


@pytest.fixture
def fleet(radius: Radius) -> Iterator[NasFleet]:
    """One router, at our FreeRADIUS."""
    with NasFleet([FakeNas(server_of(radius), SECRET, address=fake_address(0), timeout_s=1.0)]) as running:
        yield running


@pytest.fixture
def lonely() -> Iterator[NasFleet]:
    """One router whose RADIUS server never answers."""
    nas = FakeNas(RadiusServer("127.0.0.1", free_port(), free_port()), SECRET, address="127.0.21.1", timeout_s=0.1)
    with NasFleet([nas]) as running:
        yield running


def device(name: str = "amina", service: Service = "hotspot", mac: str = MAC, **more: Any) -> Subscriber:
    return Subscriber(name, PASSWORD, mac, service, **more)


def admitted(fleet: NasFleet, subscriber: Subscriber | None = None, **attributes: Any) -> OnlineSession:
    values = {name.replace("_", "-"): value for name, value in attributes.items()}
    return fleet.call(fleet.routers[0].admit, subscriber or device(), values)


def eventually(holds: Callable[[], object], within_s: float = 5.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)


def radclient(nas: FakeNas, code: str, *attributes: str, secret: str = SECRET) -> str:
    """What radclient prints; it verifies replies itself."""
    done = subprocess.run(
        ["radclient", "-x", "-r", "1", "-t", "1", f"{nas.address}:{nas.coa_port}", code, secret],
        input=", ".join(("Message-Authenticator = 0x00", *attributes)),
        text=True,
        capture_output=True,
        check=False,
    )
    return done.stdout + done.stderr


def named(session: OnlineSession) -> tuple[str, ...]:
    return (
        f'User-Name = "{session.subscriber.user_name}"',
        f'Acct-Session-Id = "{session.acct_session_id}"',
        f"Framed-IP-Address = {session.framed_ip_address}",
    )


# ---- radclient asks it ----


@pytest.mark.parametrize("signed", [True, False])
def test_a_coa_request_of_radclient_changes_the_session(lonely: NasFleet, signed: bool) -> None:
    nas = lonely.routers[0]
    nas.behaviour.answers_with_message_authenticator = signed
    session = admitted(lonely, Mikrotik_Rate_Limit="2M/8M", Session_Timeout=3600)
    said = radclient(nas, "coa", *named(session), 'Mikrotik-Rate-Limit = "1M/1M"', "Session-Timeout = 7200")
    assert "Received CoA-ACK" in said, said
    assert ("Message-Authenticator" in said.partition("Received CoA-ACK")[2]) is signed
    assert (session.rate_limit, session.session_timeout_s) == ("1M/1M", 7200)


def test_a_disconnect_request_of_radclient_ends_the_session(lonely: NasFleet) -> None:
    session = admitted(lonely)
    said = radclient(lonely.routers[0], "disconnect", *named(session))
    assert "Received Disconnect-ACK" in said, said
    assert lonely.online() == []
    assert session.terminate_cause == "Admin-Reset"


# what is asked                        code          attributes beside the name               | Error-Cause
NAKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "another address of the session": ("coa", ("Framed-Pool = home",), "Unsupported-Attribute"),
    "no change": ("coa", (), "Missing-Attribute"),
    "a rate that is none": ("coa", ('Mikrotik-Rate-Limit = "fast"',), "Invalid-Attribute-Value"),
    "a change and an end at once": ("disconnect", ("Session-Timeout = 1",), "Unsupported-Attribute"),
}


@pytest.mark.parametrize(("code", "more", "error_cause"), NAKS.values(), ids=NAKS)
def test_what_a_router_can_not_do_it_refuses_whole(
    lonely: NasFleet, code: str, more: tuple[str, ...], error_cause: str
) -> None:
    session = admitted(lonely, Mikrotik_Rate_Limit="2M/8M")
    said = radclient(lonely.routers[0], code, *named(session), *more)
    assert "-NAK" in said, said
    assert f"Error-Cause = {error_cause}" in said, said
    assert session.rate_limit == "2M/8M"
    assert len(lonely.online()) == 1


@pytest.mark.parametrize(
    "other", ['User-Name = "otieno"', 'Acct-Session-Id = "80a00099"', "Framed-IP-Address = 10.9.9.9"]
)
def test_a_session_that_differs_in_one_name_is_another(lonely: NasFleet, other: str) -> None:
    session = admitted(lonely)
    names = [name for name in named(session) if name.partition(" ")[0] != other.partition(" ")[0]]
    said = radclient(lonely.routers[0], "disconnect", *names, other)
    assert "Disconnect-NAK" in said, said
    assert "Error-Cause = Session-Context-Not-Found" in said, said
    assert len(lonely.online()) == 1


# PacketFence#7703: RouterOS 7.9.2 acknowledges, and drops something else.
@pytest.mark.parametrize(("service", "online"), [("hotspot", 1), ("pppoe", 0)])
def test_a_hotspot_session_without_its_address_is_acked_and_stays(
    lonely: NasFleet, service: Service, online: int
) -> None:
    session = admitted(lonely, device(service=service))
    said = radclient(lonely.routers[0], "disconnect", *named(session)[:2])
    assert "Received Disconnect-ACK" in said, said
    assert len(lonely.online()) == online


def test_another_secret_and_another_server_hear_nothing(lonely: NasFleet) -> None:
    nas = lonely.routers[0]
    session = admitted(lonely)
    assert "No reply" in radclient(nas, "disconnect", *named(session), secret="another")
    # Nor does a server that it does not know.
    nas.server = RadiusServer("127.0.0.2", 1, 1)
    assert "No reply" in radclient(nas, "disconnect", *named(session))
    assert (len(lonely.online()), nas.heard) == (1, [])


@pytest.mark.parametrize(
    ("message_authenticator", "wanted", "secret", "is_answered"),
    [
        (b"", True, SECRET, False),
        (b"", False, SECRET, True),
        (b"", False, "another", False),
        (b"\x50\x12" + bytes(16), False, SECRET, False),
        (b"\x50\x04ab", True, SECRET, False),
    ],
)
def test_a_message_authenticator_must_be_right_and_may_be_wanted(
    lonely: NasFleet, message_authenticator: bytes, wanted: bool, secret: str, is_answered: bool
) -> None:
    nas = lonely.routers[0]
    nas.behaviour.wants_message_authenticator = wanted
    admitted(lonely, device(service="pppoe"))
    body = b"\x01\x07amina" + message_authenticator
    head = struct.pack("!BBH", 40, 7, 20 + len(body))
    authenticator = md5(head + bytes(16) + body + secret.encode()).digest()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.bind(("127.0.0.1", 0))
        asking.sendto(head + authenticator + body, (nas.address, nas.coa_port))
        eventually(lambda: nas.heard or nas.refused)
    assert (len(nas.heard), nas.refused) == ((1, 0) if is_answered else (0, 1))


def test_it_may_acknowledge_and_do_nothing(lonely: NasFleet) -> None:
    nas = lonely.routers[0]
    nas.behaviour.acks_and_does_nothing = True
    session = admitted(lonely, Mikrotik_Rate_Limit="2M/8M")
    assert "Received CoA-ACK" in radclient(nas, "coa", *named(session), 'Mikrotik-Rate-Limit = "1M/1M"')
    assert "Received Disconnect-ACK" in radclient(nas, "disconnect", *named(session))
    assert [found.rate_limit for _, found in lonely.online()] == ["2M/8M"]


# what a router does with what no manual lists   | the answer, the list afterwards
UNLISTED = {"ignored": ("ACK", set()), "applied": ("ACK", {"expired"}), "refused": ("NAK", set())}


@pytest.mark.parametrize("unlisted", ["ignored", "applied", "refused"])
def test_an_address_list_by_coa_depends_on_the_router(lonely: NasFleet, unlisted: Any) -> None:
    nas = lonely.routers[0]
    nas.behaviour.unlisted = unlisted
    session = admitted(lonely)
    answer, lists = UNLISTED[unlisted]
    said = radclient(nas, "coa", *named(session), 'Mikrotik-Address-List = "expired"')
    assert f"Received CoA-{answer}" in said, said
    assert nas.lists_of(session) == lists


@pytest.mark.parametrize(("counts_from", "left_s"), [("start", 500), ("now", 600)])
def test_a_new_session_timeout_counts_as_the_router_likes(lonely: NasFleet, counts_from: Any, left_s: int) -> None:
    nas = lonely.routers[0]
    nas.behaviour.coa_counts_from = counts_from
    session = admitted(lonely)
    session.started_at -= 100
    assert "CoA-ACK" in radclient(nas, "coa", *named(session), "Session-Timeout = 600")
    assert session.left_s == pytest.approx(left_s, abs=2)


RATES = {
    "2M/8M": True,
    "512k": True,
    "1000000/2000000": True,
    "2M/8M 4M/16M 1M/4M 8/8": True,
    "2M/8M 4M/16M 1M/4M 8/8 8 1M/4M": True,
    "": False,
    "fast": False,
    "2M/8M/1M": False,
    "2M/8M 4M/16M 1M/4M 8/8 9": False,
    "2000kbps": False,
}


@pytest.mark.parametrize(("text", "is_one"), RATES.items(), ids=map(repr, RATES))
def test_only_a_rate_limit_is_one(text: str, is_one: bool) -> None:
    assert is_rate_limit(text) is is_one


# ---- it ends sessions by itself ----


def test_sessions_end_by_their_own_time_and_data() -> None:
    clock = SimulatedClock(speed=600)  # ten minutes a second
    nas = FakeNas(
        RadiusServer("127.0.0.1", free_port(), free_port()), SECRET, address="127.0.21.2", timeout_s=0.1, clock=clock
    )
    with NasFleet([nas]) as fleet:
        timed = admitted(fleet, device("timed", mac="02:00:00:00:00:01"), Session_Timeout=300)
        idle = admitted(fleet, device("idle", mac="02:00:00:00:00:02"), Session_Timeout=90_000, Idle_Timeout=120)
        metered = admitted(
            fleet,
            device("metered", mac="02:00:00:00:00:03"),
            Mikrotik_Total_Limit=5,
            Mikrotik_Total_Limit_Gigawords=1,
        )
        fleet.call(nas.use, metered, 1 << 32, 4)
        assert metered.terminate_cause is None
        fleet.call(nas.use, metered, 1, 0)
        eventually(lambda: timed.terminate_cause and idle.terminate_cause, within_s=3)
        assert [each.terminate_cause for each in (timed, idle, metered)] == ["Session-Timeout", "Idle-Timeout", 10]
        assert fleet.online() == []


def test_a_reboot_forgets_everybody_and_sixteen_repeat_the_numbers(lonely: NasFleet) -> None:
    nas = lonely.routers[0]
    first = admitted(lonely)
    assert first.acct_session_id == "80000001"
    assert lonely.run(nas.reboot()) == [first.subscriber]
    assert lonely.online() == []
    assert admitted(lonely).acct_session_id == "80100001"
    lonely.run(nas.reboot(boots=15))
    again = admitted(lonely)
    assert again.acct_session_id == first.acct_session_id
    assert again.nas_port == 0x80000001
    assert admitted(lonely, device(service="pppoe")).acct_session_id == "81000002"


# ---- it asks our FreeRADIUS ----


@pytest.mark.parametrize(
    ("service", "method"),
    [("hotspot", "pap"), ("hotspot", "chap"), ("pppoe", "mschapv2"), ("pppoe", "chap")],
)
def test_a_session_and_its_row_tell_the_same(radius: Radius, fleet: NasFleet, service: Service, method: Method) -> None:
    nas = fleet.routers[0]
    subscription = radius.subscribe({"interim_interval_s": 60, "address_list": "home"}, service=service)
    session = fleet.run(nas.log_in(device(str(subscription.username), service, method=method)))
    assert session.rate_limit == "2000k/8000k"
    assert session.attributes["Class"].decode().startswith(f"k1.{subscription.id}.")
    assert session.left_s == pytest.approx(30 * 86400, abs=5)
    assert nas.lists_of(session) == {"home"}

    def row() -> dict[str, Any]:
        rows = radius.rows("SELECT * FROM session WHERE subscription_id = %s", subscription.id)
        assert len(rows) <= 1
        return rows[0] if rows else {}

    eventually(row)
    fleet.call(nas.use, session, 5 << 32, 7)
    fleet.run(nas.report(session))
    eventually(lambda: row()["input_octets"] == 5 << 32)
    assert row()["stopped_at"] is None
    assert row()["acct_session_id"] == session.acct_session_id
    assert row()["radius_class"] == session.attributes["Class"].decode()
    assert (str(row()["framed_ip_address"]), row()["nas_port"]) == (session.framed_ip_address, session.nas_port)

    # Ended by us, as the tasks will do it: by what the row knows.
    known = row()
    identity = SessionIdentity(
        known["service"],
        known["username"],
        known["acct_session_id"],
        str(known["framed_ip_address"]),
        known["calling_station_id"],
        known["nas_port_id"],
    )
    with CoaClient() as client:
        asked = client.disconnect(Target(nas.address, Secret(SECRET), nas.coa_port), identity)
        assert isinstance(asked.result(), Acked)
    eventually(lambda: row()["stopped_at"] is not None)
    assert (row()["terminate_cause"], row()["output_octets"]) == ("Admin-Reset", 7)
    assert nas.unanswered == []


def test_a_refusal_says_what_the_customer_is_told(radius: Radius, fleet: NasFleet) -> None:
    radius.subscribe(username="refused", columns={"status": "suspended"})
    with pytest.raises(Refused, match="suspended"):
        fleet.run(fleet.routers[0].log_in(device("refused")))


def test_interims_come_at_the_interval_that_was_given(radius: Radius) -> None:
    clock = SimulatedClock(speed=120)
    subscription = radius.subscribe({"interim_interval_s": 60})
    nas = FakeNas(server_of(radius), SECRET, address=fake_address(1), clock=clock)
    with NasFleet([nas]) as fleet:
        session = fleet.run(nas.log_in(device(str(subscription.username))))
        fleet.call(nas.use, session, 1000, 2000)
        query = "SELECT session_time_s FROM session WHERE subscription_id = %s AND output_octets = 2000"

        def reported_s() -> int:
            """Session-Time of the newest report; 0 before the first."""
            return next((int(row["session_time_s"]) for row in radius.rows(query, subscription.id)), 0)

        eventually(reported_s)
        first_s = reported_s()
        assert 60 <= first_s < 180
        eventually(lambda: reported_s() > first_s)


def test_a_pppoe_router_at_home_redials_after_a_disconnect_and_after_a_reboot(radius: Radius, fleet: NasFleet) -> None:
    nas = fleet.routers[0]
    subscription = radius.subscribe(service="pppoe")
    subscriber = device(str(subscription.username), "pppoe", redials_after_s=0.1)
    first = fleet.run(nas.log_in(subscriber))
    assert "Disconnect-ACK" in radclient(nas, "disconnect", *named(first))

    def others(than: OnlineSession) -> list[OnlineSession]:
        return [session for _, session in fleet.online() if session is not than]

    eventually(lambda: others(first))
    (second,) = others(first)
    assert second.acct_session_id != first.acct_session_id
    fleet.run(nas.reboot())
    eventually(lambda: others(second))
    assert others(second)[0].subscriber == subscriber


def test_a_dead_router_says_nothing_and_a_lossy_one_gets_through(radius: Radius) -> None:
    subscription = radius.subscribe({"devices": 10})
    dead = FakeNas(server_of(radius), SECRET, address=fake_address(2), timeout_s=0.1, behaviour=Behaviour(dead=True))
    lossy = FakeNas(
        server_of(radius), SECRET, address=fake_address(3), timeout_s=0.2, tries=20, behaviour=Behaviour(loss=0.3)
    )
    with NasFleet([dead, lossy]) as fleet:
        with pytest.raises(NoAnswer):
            fleet.run(dead.log_in(device(str(subscription.username))))
        macs = [f"02:00:00:00:01:{number:02X}" for number in range(10)]
        found = fleet.log_in([(lossy, device(str(subscription.username), mac=mac)) for mac in macs])
        assert all(isinstance(each, OnlineSession) for each in found), found
        eventually(
            lambda: len(radius.rows("SELECT 1 FROM session WHERE subscription_id = %s", subscription.id)) == 10, 20
        )


def test_a_fleet_of_fifty_with_five_thousand_sessions_costs_little(radius: Radius) -> None:
    routers = [
        FakeNas(server_of(radius), SECRET, address=fake_address(number), timeout_s=2.0, seed=number)
        for number in range(50)
    ]
    names = [str(radius.subscribe({"devices": 100, "interim_interval_s": 60}).username) for _ in routers]
    devices = [
        (nas, device(name, mac=f"02:00:00:01:{number:02X}:{each:02X}"))
        for number, (nas, name) in enumerate(zip(routers, names, strict=True))
        for each in range(100)
    ]
    with NasFleet(routers) as fleet:
        found = fleet.log_in(devices[:500])
        # PostgreSQL reads the whole of a table that it knows to be empty.
        radius.execute("ANALYZE session, usage")
        found += fleet.log_in(devices[500:])
        assert all(isinstance(each, OnlineSession) for each in found)
        count = "SELECT count(*) FROM session WHERE username = ANY(%s) AND stopped_at IS NULL"
        eventually(lambda: radius.rows(count, names)[0]["count"] == 5000, 20)
        assert len(fleet.online()) == 5000
        assert all(nas.unanswered == [] for nas in routers)

        async def report(nas: FakeNas) -> None:
            for session in list(nas.online.values()):
                nas.use(session, output_octets=1)
                await nas.report(session)

        async def one_round() -> None:
            await asyncio.gather(*map(report, routers))

        before_s = time.process_time()
        fleet.run(one_round())
        assert time.process_time() - before_s < 12  # a fifth of a processor, were it a round a minute
        query = "SELECT sum(output_octets) FROM session WHERE username = ANY(%s)"
        eventually(lambda: radius.rows(query, names)[0]["sum"] == 5000)
        assert all(nas.unanswered == [] for nas in routers)
