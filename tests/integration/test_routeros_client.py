"""The client of RouterOS's API against fake routers over real sockets, in both its ways, threads' and asyncio's."""

import asyncio
import logging
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address
from types import FrameType
from typing import Any, Protocol

import pytest

from isp.router_script import Bootstrap, bootstrap_script
from isp.router_version import RouterVersion
from settings import Secret
from tasks import routeros, routeros_async, routeros_errors, routeros_wire
from tasks.routeros_dialogue import Answer, Conversation, T, sentence
from tasks.routeros_errors import (
    AlreadyThere,
    BlockedByDeviceMode,
    Busy,
    CertificateChanged,
    ConnectionLost,
    MissingMenu,
    NoSuchItem,
    NotAdmitted,
    NotPermitted,
    PortClosed,
    Refused,
    RouterError,
    RouterTooNew,
    RouterTooOld,
    Silent,
    TlsRefused,
    UnknownProperty,
    Unreachable,
    WrongPassword,
)
from tasks.routeros_facts import RouterFacts, duration, read_facts, read_load, supported
from tasks.routeros_target import Patience, Target, not_connected
from tests.fakes.routeros import PASSWORD, USERNAME, RunningRouter, fake_router, fake_routers, ready_router
from tests.fakes.routeros_factory import CHR, VERSIONS
from tests.fakes.routeros_faults import How
from tests.fakes.routeros_script import paste
from tests.ports import free_port

HASTY = Patience(connect_s=0.5, login_s=0.5, talk_s=0.5)
POOLS = sentence("/ip/pool/print", proplist=("name",))


class Talking(Protocol):
    certificate_sha256: str | None

    def talk(self, *words: str, within_s: float | None = None) -> Answer: ...
    def run(self, conversation: Conversation[T], *, within_s: float | None = None) -> T: ...
    def close(self) -> None: ...


Connect = Callable[..., Talking]


class Waiting:
    """An asyncio connection, waited for."""

    def __init__(self, target: Target, patience: Patience = HASTY) -> None:
        self._runner = asyncio.Runner()
        try:
            self._connection = self._runner.run(routeros_async.connect(target, patience))
        except BaseException:
            self._runner.close()
            raise
        self.certificate_sha256 = self._connection.certificate_sha256

    def talk(self, *words: str, within_s: float | None = None) -> Answer:
        return self._runner.run(self._connection.talk(*words, within_s=within_s))

    def run(self, conversation: Conversation[T], *, within_s: float | None = None) -> T:
        return self._runner.run(self._connection.run(conversation, within_s=within_s))

    def close(self) -> None:
        self._connection.close()
        self._runner.close()


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """`connect(target, patience)`; what it makes is closed at the end."""
    opened: list[Talking] = []

    def made(target: Target, patience: Patience = HASTY) -> Talking:
        one: Talking = routeros.connect(target, patience) if request.param == "sync" else Waiting(target, patience)
        opened.append(one)
        return one

    yield made
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningRouter]:
    """A healthy 7.16."""
    with fake_router("7.16") as router:
        yield router


@pytest.fixture
def router(shared: RunningRouter) -> RunningRouter:
    shared.heard.clear()
    shared.faults.clear()
    return shared


def pools(answer: Answer) -> list[str]:
    return [row["name"] for row in answer.rows]


class TestLogin:
    @pytest.mark.parametrize("plain", ["never", "only"])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_every_version_lets_us_in_with_and_without_tls(self, connect: Connect, version: str, plain: str) -> None:
        with fake_router(version) as router:
            connection = connect(router.target(plain=plain))
            assert pools(connection.talk(*POOLS)) == ["default-dhcp"]
            certificate = router.machine.certificate()
            assert certificate is not None
            assert connection.certificate_sha256 == (certificate.sha256 if plain == "never" else None)
            assert {heard.encrypted for heard in router.heard} == {plain == "never"}

    def test_before_6_43_only_a_challenge_is_answered(self, connect: Connect) -> None:
        with fake_router("6.42") as router:
            connect(router.target())
            assert [len(heard.words) for heard in router.heard] == [3, 3]
            assert router.heard[1].words[2].startswith("=response=00")

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_password_may_hold_anything(self, connect: Connect, version: str) -> None:
        with fake_router(version) as router:
            password = "ñ=?/ \t☕true"
            router.machine.give_user("x", password)
            connect(router.target(username="x", password=Secret(password)))

    def test_a_router_that_was_bootstrapped_lets_us_in(self, connect: Connect) -> None:
        router = RunningRouter("7.21")
        here = IPv4Address("127.0.0.1")
        bootstrap = Bootstrap(USERNAME, PASSWORD, (here,), here, "radius-secret")
        with fake_routers([router]):
            (printed,) = paste(router.machine, bootstrap_script(bootstrap, 7))
            connection = connect(router.target())
            assert connection.certificate_sha256 == printed.rpartition(" ")[2]
            assert connection.run(read_facts("router")).version == RouterVersion(7, 21, number=4)


class TestCertificate:
    def test_the_known_one_is_accepted_however_it_is_written(self, connect: Connect, router: RunningRouter) -> None:
        known = connect(router.target()).certificate_sha256
        assert known is not None
        in_pairs = ":".join(known[at : at + 2] for at in range(0, 64, 2)).upper()
        for written in (known, in_pairs):
            assert connect(router.target(certificate_sha256=written)).certificate_sha256 == known

    @pytest.mark.parametrize("plain", ["never", "fallback"])
    def test_another_one_ends_it_before_a_word_is_sent(self, connect: Connect, plain: str) -> None:
        with fake_router() as router:
            known = connect(router.target()).certificate_sha256
            found = router.machine.give_certificate()
            router.heard.clear()
            with pytest.raises(CertificateChanged, match="confirm that; otherwise somebody") as changed:
                connect(router.target(certificate_sha256=known, plain=plain))
            assert changed.value.found == found
            assert changed.value.permanent
            assert router.heard == []

    def test_without_tls_it_is_done_only_if_asked(self, connect: Connect) -> None:
        with fake_router(certificate=False) as router:
            with pytest.raises(TlsRefused):
                connect(router.target())
            assert connect(router.target(plain="fallback")).certificate_sha256 is None

    def test_who_blocks_tls_does_not_get_the_password_of_a_known_router(self, connect: Connect) -> None:
        with fake_router() as router:
            known = connect(router.target()).certificate_sha256
            router.heard.clear()
            router.machine.service("api-ssl")["certificate"] = "none"
            with pytest.raises(TlsRefused):
                connect(router.target(certificate_sha256=known, plain="fallback"))
            assert router.heard == []

    def test_a_router_that_hangs_is_not_asked_twice(self, connect: Connect) -> None:
        with fake_router(mute=True) as router:
            with pytest.raises(Silent):
                connect(router.target(plain="fallback"))
            assert router.connections == 1


@contextmanager
def never_accepting() -> Iterator[int]:
    """A port whose queue of connections is full: as if a firewall dropped them."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port))
        time.sleep(0.05)
        yield port
        for sock in waiting:
            sock.close()


class TestNoConnection:
    def test_a_wrong_password(self, connect: Connect) -> None:
        for version in VERSIONS:
            with (
                fake_router(version) as router,
                pytest.raises(WrongPassword, match="Paste the bootstrap script") as error,
            ):
                connect(router.target(password=Secret("wrong-password")))
            assert error.value.permanent

    def test_an_address_that_the_user_may_not_come_from_looks_the_same(self, connect: Connect) -> None:
        with fake_router() as router:
            router.machine.tables.one("/user", name=USERNAME)["address"] = "192.0.2.0/24"
            with pytest.raises(WrongPassword, match="its address lets us in"):
                connect(router.target())

    def test_a_closed_port(self, connect: Connect) -> None:
        port = free_port()
        target = Target("127.0.0.1", USERNAME, Secret(PASSWORD), api_ssl_port=port)
        with pytest.raises(PortClosed, match=rf"refuses connections to port {port}\. Enable it") as error:
            connect(target)
        assert not error.value.permanent

    def test_a_firewall_that_drops(self, connect: Connect) -> None:
        with never_accepting() as port:
            target = Target("127.0.0.1", USERNAME, Secret(PASSWORD), api_ssl_port=port)
            started_at = time.monotonic()
            with pytest.raises(Unreachable, match=r"does not answer on port \d+ within 0\.5 s\. .*firewall lets us in"):
                connect(target)
            assert 0.4 < time.monotonic() - started_at < 1.5

    def test_a_service_for_other_addresses(self, connect: Connect) -> None:
        with fake_router() as router:
            for plain, service in (("never", "api-ssl"), ("only", "api")):
                router.machine.service(service)["address"] = "192.0.2.1/32"
                with pytest.raises(NotAdmitted, match="Let our address in"):
                    connect(router.target(plain=plain))

    def test_a_router_that_connects_and_says_nothing(self, connect: Connect) -> None:
        with fake_router(mute=True) as router:
            for plain, what in (("never", "the TLS handshake"), ("only", "/login")):
                started_at = time.monotonic()
                with pytest.raises(Silent, match=f"did not answer {what} within 0.5 s"):
                    connect(router.target(plain=plain))
                assert time.monotonic() - started_at < 1.5

    def test_tls_without_a_certificate(self, connect: Connect) -> None:
        with (
            fake_router(certificate=False) as router,
            pytest.raises(TlsRefused, match="Give its service api-ssl a certificate") as error,
        ):
            connect(router.target())
        assert error.value.permanent

    def test_something_else_on_the_port(self, connect: Connect, router: RunningRouter) -> None:
        router.fail("/login", "garbage")
        with pytest.raises(ConnectionLost, match=r"not as RouterOS's API does\. Check address and port"):
            connect(router.target())

    def test_a_challenge_that_is_none(self, connect: Connect) -> None:
        with saying(b"\x05!done\x09=ret=zzzz\0") as port, pytest.raises(ConnectionLost, match="Check address and port"):
            connect(Target("127.0.0.1", USERNAME, Secret(PASSWORD), plain="only", api_port=port))

    @pytest.mark.parametrize(
        ("error", "kind", "words"),
        [
            (OSError(113, "No route to host"), Unreachable, r"cannot be reached \(EHOSTUNREACH\). Check its address"),
            (OSError(101, "Network is unreachable"), Unreachable, r"\(ENETUNREACH\)"),
            (socket.gaierror(-2, "Name or service not known"), Unreachable, "no name that we can look up"),
            (TimeoutError(), Unreachable, "within 3 s"),
            (ConnectionRefusedError(111, "refused"), PortClosed, "/ip service enable api-ssl"),
        ],
    )
    def test_what_a_network_may_say(self, error: OSError, kind: type[RouterError], words: str) -> None:
        with pytest.raises(kind, match=words):
            raise not_connected("192.0.2.1", 8729, error, 3)


@contextmanager
def saying(octets: bytes, *, times: int = 1) -> Iterator[int]:
    """A port that says something to whoever speaks, again and again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                sock, _ = listener.accept()
                with sock:
                    sock.recv(4096)
                    for _ in range(times):
                        sock.sendall(octets)
                    sock.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


class TestRefusals:
    @pytest.mark.parametrize(
        ("version", "words", "kind", "trap", "remedy"),
        [
            (
                "7.16",
                ("/user/add", "=name=x"),
                NotPermitted,
                "not enough permissions (9)",
                "paste the bootstrap script",
            ),
            ("6.49", ("/interface/wireguard/print",), MissingMenu, "no such command prefix", "upgrade RouterOS"),
            (
                "7.16",
                ("/interface/lte/apn/print",),
                MissingMenu,
                "no such command or directory (lte), no such command prefix",
                "Enable or install the package",
            ),
            (
                "7.12",
                ("/radius/add", "=address=10.0.0.1", "=require-message-auth=no"),
                UnknownProperty,
                "unknown parameter require-message-auth",
                "upgrade RouterOS",
            ),
            ("6.49", ("/ip/pool/add", "=rnages=x"), UnknownProperty, "unknown parameter", "does not know it"),
            ("6.49", ("/ip/pool/remove", "=.id=*99"), NoSuchItem, "no such item (4)", "try again"),
            ("7.21", ("/ip/pool/remove", "=.id=*99"), NoSuchItem, "no such item", "try again"),
            (
                "7.16",
                ("/ip/pool/add", "=name=default-dhcp", "=ranges=10.0.0.1"),
                AlreadyThere,
                "failure: pool with such name exists",
                "take it over",
            ),
            (
                "7.16",
                ("/ip/address/add", "=address=10.0.0.1/24", "=interface=ether9"),
                Refused,
                "input does not match any value of interface",
                "Correct the value",
            ),
        ],
    )
    def test_each_has_its_words_and_the_connection_goes_on(
        self, connect: Connect, version: str, words: tuple[str, ...], kind: type[Refused], trap: str, remedy: str
    ) -> None:
        with fake_router(version) as router:
            connection = connect(router.target())
            with pytest.raises(Refused) as refused:
                connection.talk(*words)
            assert type(refused.value) is kind
            assert refused.value.trap == trap
            assert refused.value.permanent
            assert str(refused.value).startswith(f"127.0.0.1 refuses {words[0]}: {trap}. ")
            assert remedy in str(refused.value)
            assert "\n" not in str(refused.value)
            assert pools(connection.talk(*POOLS)) == ["default-dhcp"]

    def test_device_mode(self, connect: Connect) -> None:
        with fake_router("7.21", device_mode="home") as router:
            connection = connect(router.target())
            with pytest.raises(BlockedByDeviceMode, match="/system device-mode update"):
                connection.talk("/system/scheduler/add", "=name=x")

    def test_what_passes_is_not_permanent(self, connect: Connect, router: RunningRouter) -> None:
        connection = connect(router.target())
        router.fail("/ip/pool/print", "trap")
        with pytest.raises(Busy, match="Try again in a minute") as error:
            connection.talk(*POOLS)
        assert not error.value.permanent

    def test_an_item_that_is_added_tells_its_id(self, connect: Connect) -> None:
        with fake_router() as router:
            answer = connect(router.target()).talk("/ip/pool/add", "=name=p", "=ranges=10.0.0.1")
            assert answer.ret == router.machine.tables.one("/ip/pool", name="p")[".id"]

    @pytest.mark.parametrize("kind", [kind for kind in vars(routeros_errors).values() if isinstance(kind, type)])
    def test_each_says_whether_trying_again_helps(self, kind: type) -> None:
        assert not issubclass(kind, RouterError) or isinstance(kind.permanent, bool)


LOST: list[tuple[How, type[RouterError], str]] = [
    ("hang", Silent, "did not answer /ip/pool/print within 0.3 s"),
    ("late", Silent, "did not answer /ip/pool/print within 0.3 s"),
    ("drip", Silent, "did not answer /ip/pool/print within 0.3 s"),
    ("drop", ConnectionLost, "ended the connection at /ip/pool/print. It may be restarting"),
    ("drop_after", ConnectionLost, "ended the connection at /ip/pool/print"),
    ("cut", ConnectionLost, "ended the connection at /ip/pool/print"),
    ("reboot", ConnectionLost, "It may be restarting: try again"),
    ("fatal", ConnectionLost, "ended the connection at /ip/pool/print: too busy. Try again"),
    ("garbage", ConnectionLost, "not as RouterOS's API does"),
]


class TestConnectionsThatBreak:
    @pytest.mark.parametrize(("how", "kind", "words"), LOST)
    def test_each_break_ends_the_connection_in_time_and_with_words(
        self, connect: Connect, how: How, kind: type[RouterError], words: str
    ) -> None:
        with fake_router() as router:
            connection = connect(router.target())
            router.fail("/ip/pool/print", how, seconds=0.2 if how == "drip" else 0.5, words="too busy")
            started_at = time.monotonic()
            with pytest.raises(kind, match=words) as error:
                connection.talk(*POOLS, within_s=0.3)
            assert time.monotonic() - started_at < 1
            assert not error.value.permanent
            with pytest.raises(ConnectionLost, match=r"was closed\. Connect again"):
                connection.talk(*POOLS)
            assert len([words for words in router.commands() if words == "/ip/pool/print"]) == 1

    def test_a_late_answer_is_never_taken_for_the_next_questions(self, connect: Connect) -> None:
        """Replies crossed after a time-out: a client asked on, and stored one router's secrets under other names."""
        with fake_router() as router:
            for number in range(20):
                router.machine.tables.put("/ip/pool", name=f"p{number}", ranges="10.0.0.1")
            router.fail("/ip/pool/print", "late", after=2, times=None, seconds=0.15)
            connection = connect(router.target(plain="only"))
            answered = 0
            for number in range(20):
                try:
                    answer = connection.talk("/ip/pool/print", f"?name=p{number}", within_s=0.1)
                except Silent:
                    connection = connect(router.target(plain="only"))
                    router.faults[0].after = number % 3
                else:
                    assert pools(answer) == [f"p{number}"]
                    answered += 1
            assert 0 < answered < 20

    def test_an_interrupt_in_the_middle_closes_the_connection(self, router: RunningRouter) -> None:
        def interrupt(_number: int, _frame: FrameType | None) -> None:
            raise KeyboardInterrupt

        connection = routeros.connect(router.target(), HASTY)
        router.fail("/ip/pool/print", "late", seconds=0.3)
        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                connection.talk(*POOLS, within_s=2)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        with pytest.raises(ConnectionLost, match="was closed"):
            connection.talk(*POOLS)

    def test_so_does_a_cancellation(self, router: RunningRouter) -> None:
        async def cancelled() -> None:
            connection = await routeros_async.connect(router.target(), HASTY)
            router.fail("/ip/pool/print", "late", seconds=0.3)
            asking = asyncio.create_task(connection.talk(*POOLS))
            await asyncio.sleep(0.1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            with pytest.raises(ConnectionLost, match="was closed"):
                await connection.talk(*POOLS)

        asyncio.run(cancelled())

    def test_two_tasks_cannot_ask_at_once(self, router: RunningRouter) -> None:
        async def both() -> None:
            async with await routeros_async.connect(router.target(), HASTY) as connection:
                router.fail("/ip/pool/print", "late", seconds=0.1)
                asking = asyncio.create_task(connection.talk(*POOLS))
                await asyncio.sleep(0.02)
                with pytest.raises(ConnectionLost):
                    await connection.talk("/interface/print")
                assert pools(await asking) == ["default-dhcp"]

        asyncio.run(both())

    @pytest.mark.parametrize(
        "octets", [b"\xe8\0\0\0", b"\xf0\x7f\xff\xff\xff", b"\0", b"\x03!re\x05=name\0", b"\x04!wha\0"]
    )
    def test_nonsense_ends_it(self, connect: Connect, octets: bytes) -> None:
        """Among it words of 128 MiB and of 2 GiB, an empty sentence, a word without a value, an unknown reply."""
        with saying(octets) as port, pytest.raises(ConnectionLost, match="not as RouterOS's API does"):
            connect(Target("127.0.0.1", USERNAME, Secret(PASSWORD), plain="only", api_port=port))

    def test_an_answer_without_end_is_cut_off(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(routeros_wire, "MOST_BYTES", 100_000)
        row = b"\x03!re\x0a=name=abcd\0"
        with saying(row * 1000, times=100) as port, pytest.raises(ConnectionLost, match="not as RouterOS's API does"):
            connect(Target("127.0.0.1", USERNAME, Secret(PASSWORD), plain="only", api_port=port))


class TestWords:
    @pytest.mark.parametrize("value", ["true", "yes", "no", "12", "0012", "", "=", "a=b=c", "!re", "*1", "☕" * 9000])
    def test_a_value_comes_and_goes_as_it_is(self, connect: Connect, value: str) -> None:
        """A client made a boolean of the password `true`, and a number of the name `0012`."""
        with fake_router() as router:
            connection = connect(router.target())
            connection.talk(*sentence("/ppp/secret/add", {"name": f"n{value}", "password": value}))
            assert router.machine.tables.one("/ppp/secret")["password"] == value
            (row,) = connection.talk(*sentence("/ppp/secret/print", where={"name": f"n{value}"})).rows
            assert (row["name"], row["password"]) == (f"n{value}", value)

    @pytest.mark.parametrize(
        ("octets", "text"),
        [(b"Caf\xc3\xa9", "Café"), (b"Caf\xe9", "Café"), (b"\x80 5", "€ 5"), (b"\x81\xff", "\x81ÿ"), (b"\xc3", "Ã")],
    )
    def test_what_is_no_utf_8_was_typed_on_a_windows(self, connect: Connect, octets: bytes, text: str) -> None:
        with fake_router() as router:
            router.machine.tables.put("/ip/pool", name="p", comment=octets.decode("utf-8", "surrogateescape"))
            (row,) = connect(router.target()).talk("/ip/pool/print", "?name=p").rows
            assert row["comment"] == text

    @pytest.mark.parametrize("words", [("/ip/pool/print", "", "/system/reboot"), ("",), ("/x", "=a=\ud800")])
    def test_what_cannot_be_said_is_not(self, connect: Connect, router: RunningRouter, words: tuple[str, ...]) -> None:
        connection = connect(router.target())
        with pytest.raises(ValueError, match=r"empty word|surrogates"):
            connection.talk(*words)
        assert pools(connection.talk(*POOLS)) == ["default-dhcp"]
        assert router.commands() == ["/ip/pool/print"]

    def test_a_sentence_is_built_of_values_conditions_and_properties(self) -> None:
        built = sentence("/ip/pool/set", {".id": "*1", "name": "a=b"}, where={"x": "y"}, proplist=("a", "b"))
        assert built == ("/ip/pool/set", "=.proplist=a,b", "=.id=*1", "=name=a=b", "?x=y")


class TestSecrets:
    def test_none_is_in_an_error_a_traceback_or_a_log(
        self, connect: Connect, router: RunningRouter, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = [repr(router.target())]
        secret, wrong = "pa$$-of-ann-true", "not-this-one"
        for how in ("trap", "drop", "late", "fatal", "garbage"):
            connection = connect(router.target(), replace(HASTY, talk_s=0.1))
            router.fail("/ppp/secret/add", how, seconds=0.3, words=f"failure: {secret} is a bad password, {secret}!")
            with pytest.raises(RouterError) as error:
                connection.talk(*sentence("/ppp/secret/add", {"name": "ann", "password": secret}))
            shown += [str(error.value), repr(error.value), "".join(traceback.format_exception(error.value))]
            shown += [repr(connection)]
        with pytest.raises(WrongPassword) as error:
            connect(router.target(password=Secret(wrong)))
        shown += ["".join(traceback.format_exception(error.value))]
        shown += [record.getMessage() for record in caplog.records]
        for hidden in (secret, PASSWORD, wrong):
            assert not [text for text in shown if hidden in text]
        assert any("failure: … is a bad password, …!" in text for text in shown)


class TestFacts:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_they_are_read_from_every_version(self, connect: Connect, version: str) -> None:
        with fake_router(version) as router:
            router.machine.tables.one("/system/identity")["name"] = "12"
            facts = connect(router.target()).run(read_facts("router"))
        written = ".".join(map(str, VERSIONS[version]))
        assert replace(facts, device_mode=None) == RouterFacts(
            identity="12",
            version=RouterVersion.parse(written),
            architecture="arm",
            board="hAP ac^2",
            model="RBD52G-5HacD2HnD",
            serial_number="HAP000000001",
            licence_level="4",
            device_mode=None,
            disabled_packages=frozenset(),
        )
        assert (facts.device_mode is None) is (version < "7")
        assert facts.device_mode is None or facts.device_mode.allows("hotspot")

    @pytest.mark.parametrize("version", ["6.49", "7.21"])
    def test_a_chr_has_neither_model_nor_serial_number(self, connect: Connect, version: str) -> None:
        with fake_router(version, model=CHR, configured=False) as router:
            facts = connect(router.target()).run(read_facts("router"))
        assert (facts.board, facts.model, facts.serial_number, facts.licence_level) == ("CHR", None, None, "free")

    def test_what_blocks_a_hotspot_is_known_before(self, connect: Connect) -> None:
        with fake_router("7.21", device_mode="home") as router:
            mode = connect(router.target()).run(read_facts("router")).device_mode
        assert mode is not None
        assert not mode.allows("hotspot")
        with fake_router("6.49") as router:
            router.machine.tables.one("/system/package", name="hotspot")["disabled"] = "true"
            assert connect(router.target()).run(read_facts("router")).disabled_packages == {"hotspot"}

    def test_its_load_is_read(self, connect: Connect) -> None:
        with fake_router("7.16") as router:
            router.machine.booted_at -= 90_061
            router.machine.cpu_load_percent = 97
            load = connect(router.target()).run(read_load("router"))
        assert timedelta(days=1, hours=1, minutes=1) <= load.uptime < timedelta(days=1, hours=1, minutes=2)
        assert (load.cpu_load_percent, load.total_memory_bytes) == (97, 128 * 1024 * 1024)
        assert 0 < load.free_hdd_bytes < load.total_hdd_bytes

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("5s", timedelta(seconds=5)),
            ("1w2d3h4m5s", timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
            ("01:22:53", timedelta(hours=1, minutes=22, seconds=53)),
            ("3w1d01:22:53", timedelta(weeks=3, days=1, hours=1, minutes=22, seconds=53)),
            ("500ms", timedelta(milliseconds=500)),
            ("5m500ms", timedelta(minutes=5, milliseconds=500)),
            ("1d", timedelta(days=1)),
        ],
    )
    def test_a_duration_is_read(self, text: str, expected: timedelta) -> None:
        assert duration(text) == expected

    @pytest.mark.parametrize("text", ["", "x", "5", "1d2w", "5s ", "-5s", "none"])
    def test_what_is_no_duration_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a duration"):
            duration(text)

    @pytest.mark.parametrize(
        ("version", "kind", "words"),
        [
            ("6.39.3", RouterTooOld, "runs RouterOS 6.39.3, which is too old. Upgrade it"),
            ("8.0beta1", RouterTooNew, "this Kibali does not know yet. Update Kibali"),
            ("unknown", RouterTooNew, "Report it to us"),
        ],
    )
    def test_a_version_that_nobody_tested_is_refused(self, version: str, kind: type[RouterError], words: str) -> None:
        with pytest.raises(kind, match=words) as error:
            supported("192.0.2.1", version)
        assert error.value.permanent

    def test_betas_of_the_next_release_are_no_reason(self) -> None:
        assert supported("192.0.2.1", "7.99rc1 (testing)") == RouterVersion(7, 99, 2, 1)


class TestMany:
    def test_500_routers_of_which_50_hang_are_read_in_the_time_of_the_slowest(self) -> None:
        """A router that hung delayed all others."""
        healthy = [ready_router("7.16", number=number, latency_s=0.02) for number in range(450)]
        hanging = [ready_router("7.16", number=number, mute=True) for number in range(450, 475)]
        stuck = [ready_router("7.16", number=number) for number in range(475, 500)]
        for one in stuck:
            one.fail("/system/resource/print", "hang", times=None)
        for number, one in enumerate(healthy):
            one.machine.cpu_load_percent = number % 100
        patience = Patience(connect_s=5, login_s=5, talk_s=5)

        async def read(router: RunningRouter) -> Any:
            try:
                async with await routeros_async.connect(router.target(), patience) as connection:
                    return (await connection.run(read_load("router"))).cpu_load_percent
            except RouterError as error:
                return type(error)

        async def read_all(routers: list[RunningRouter]) -> list[Any]:
            return await asyncio.gather(*map(read, routers))

        routers = [*hanging, *healthy, *stuck]
        with fake_routers(routers):
            started_at = time.monotonic()
            results = asyncio.run(read_all(routers))
            took_s = time.monotonic() - started_at
        assert results[25:475] == [number % 100 for number in range(450)]
        assert set(results[:25] + results[475:]) == {Silent}
        assert took_s < 15
