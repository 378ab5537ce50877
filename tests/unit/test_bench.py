"""The load generator and its checks, against a server of the test's own: what it counts, and that it notices faults."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from hmac import digest
from pathlib import Path

import pytest

from bench import attributes as a
from bench import load, report, verify
from bench.load import Load, Outcome, Sample
from bench.machine import Machine
from bench.pacing import Outstanding, Pacing, Rate, Storm
from bench.packets import ACCESS_ACCEPT, ACCESS_REQUEST, ACCOUNTING_RESPONSE, Packets
from bench.point import Point
from bench.population import INTERIM_INTERVAL_S, ROUTER_SECRET, Subscriber
from bench.results import Results, save
from bench.results import load as load_results
from bench.soak import SoakResult
from bench.storm import StormResult
from bench.targets import targets
from bench.work import WORKS, Builder, Size

SECRET = ROUTER_SECRET.encode()
SIZE = Size(subscribers=40, open_sessions=26)
BEGAN_AT = 1_800_000_000
BETWEEN_REPLIES_S = 0.02

Answer = Callable[[bytes], list[bytes]]


def reply_to(request: bytes, *, rate_limit: str = Subscriber(0).rate_limit, code: int | None = None) -> bytes:
    """What a server that knows its trade answers."""
    if request[0] != ACCESS_REQUEST:
        head = bytes((code or ACCOUNTING_RESPONSE, request[1])) + (20).to_bytes(2)
        return head + md5(head + request[4:20] + SECRET).digest()
    body = a.octets(a.MESSAGE_AUTHENTICATOR, bytes(16)) + a.vendor(
        a.MIKROTIK, a.text(a.MIKROTIK_RATE_LIMIT, rate_limit)
    )
    body += a.integer(a.ACCT_INTERIM_INTERVAL, INTERIM_INTERVAL_S) + a.integer(a.SESSION_TIMEOUT, 1000)
    body += a.vendor(a.MIKROTIK, a.integer(a.MIKROTIK_TOTAL_LIMIT, 5))
    body += a.vendor(a.MIKROTIK, a.integer(a.MIKROTIK_TOTAL_LIMIT_GIGAWORDS, 2)) + a.text(a.CLASS, "k1.1.0")
    head = bytes((code or ACCESS_ACCEPT, request[1])) + (20 + len(body)).to_bytes(2)
    stamp = digest(SECRET, head + request[4:20] + body, "md5")
    body = body.replace(bytes(16), stamp, 1)
    return head + md5(head + request[4:20] + body + SECRET).digest() + body


@contextmanager
def server(answer: Answer) -> Iterator[tuple[int, int]]:
    """Its ports for logins and for accounting."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    closing = threading.Event()

    def serve(listener: socket.socket) -> None:
        while not closing.is_set():
            try:
                request, sender = listener.recvfrom(4096)
            except TimeoutError:
                continue
            for number, reply in enumerate(answer(request)):
                if number:
                    time.sleep(BETWEEN_REPLIES_S)
                listener.sendto(reply, sender)

    for listener in sockets:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.05)
    threads = [threading.Thread(target=serve, args=(listener,)) for listener in sockets]
    for thread in threads:
        thread.start()
    try:
        yield sockets[0].getsockname()[1], sockets[1].getsockname()[1]
    finally:
        closing.set()
        for thread in threads:
            thread.join()
        for listener in sockets:
            listener.close()


def run(packets: Packets, answer: Answer, pacing: Pacing, seconds: float = 30.0) -> Outcome:
    with server(answer) as ports:
        generator = Load(packets, *ports)
        try:
            return generator.run(pacing, 0.0, seconds)
        finally:
            generator.close()


@pytest.mark.parametrize("work", WORKS)
@pytest.mark.parametrize("pacing", [Outstanding(7), Rate(5000)], ids=["closed", "open"])
def test_every_packet_is_sent_once_and_every_answer_is_counted_and_right(work: str, pacing: Pacing) -> None:
    packets = Builder(SIZE).build(work, 300, BEGAN_AT)
    seen: list[bytes] = []

    def answer(request: bytes) -> list[bytes]:
        seen.append(request)
        return [reply_to(request)]

    outcome = run(packets, answer, pacing)
    assert sorted(seen) == sorted(packets.packet(number) for number in range(300))
    assert sorted(outcome.numbers) == list(range(300))
    assert (outcome.sent, outcome.retransmitted, outcome.lost, outcome.stray) == (300, 0, [], 0)
    assert len(outcome.samples) == 3
    assert verify.first_fault(packets, outcome.samples, rates_by_plan=False) == ""


def test_a_session_reports_in_order_and_its_highest_counters_are_what_it_reported() -> None:
    packets = Builder(SIZE).build("mix", 26 * 13, BEGAN_AT)
    outcome = run(packets, lambda request: [reply_to(request)], Outstanding(20))
    last: dict[int, int] = {}
    for number in outcome.numbers:
        if not packets.is_login[number]:
            session, octets = packets.sessions[number], packets.output_octets[number]
            assert octets >= last.get(session, 0)
            last[session] = octets
    assert {session: octets[1] for session, octets in packets.reported(outcome.numbers).items()} == last


def test_the_mix_is_one_login_one_start_ten_interims_and_one_stop() -> None:
    packets = Builder(SIZE).build("mix", 26 * 13, BEGAN_AT)
    kinds = [
        "login" if packets.is_login[number] else {1: "start", 2: "stop", 3: "interim"}[packets.packet(number)[25]]
        for number in range(len(packets))
    ]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"login": 26, "start": 26, "interim": 260, "stop": 26}


def test_no_more_are_outstanding_than_asked_for() -> None:
    held: list[bytes] = []
    most = 0

    def answer(request: bytes) -> list[bytes]:
        nonlocal most, held
        held.append(request)
        most = max(most, len(held))
        if len(held) < 5:
            return []
        replies, held = [reply_to(each) for each in held], []
        return replies

    run(Builder(SIZE).build("pap", 100, BEGAN_AT), answer, Outstanding(5))
    assert most == 5


def test_what_is_not_answered_is_sent_three_times_then_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "TIMEOUT_NS", 100_000_000)
    tries: dict[bytes, int] = {}

    def answer(request: bytes) -> list[bytes]:
        tries[request] = tries.get(request, 0) + 1
        never, late = b"subscriber000002" in request, b"subscriber000004" in request
        return [] if never or (late and tries[request] < 3) else [reply_to(request)]

    packets = Builder(SIZE).build("pap", 20, BEGAN_AT)
    outcome = run(packets, answer, Outstanding(20))
    assert outcome.lost == [1]
    assert sorted(tries.values()) == [1] * 18 + [3, 3]
    assert (len(outcome.numbers), outcome.retransmitted) == (19, 4)


def test_a_logins_second_answer_is_not_taken_for_its_starts() -> None:
    def answer(request: bytes) -> list[bytes]:
        if request[0] == ACCESS_REQUEST:
            return [reply_to(request)] * 2
        time.sleep(5 * BETWEEN_REPLIES_S)
        return [reply_to(request)]

    packets = Builder(SIZE).build("storm", 1, BEGAN_AT)
    outcome = run(packets, answer, Storm(1, 1000))
    assert (list(outcome.numbers), outcome.stray) == ([0, 1], 1)
    assert outcome.codes == {ACCESS_ACCEPT: 1, ACCOUNTING_RESPONSE: 1}
    assert outcome.latencies_ns[1] > 4 * BETWEEN_REPLIES_S * 1e9


def test_in_a_storm_the_start_waits_for_the_accept() -> None:
    order: list[int] = []

    def answer(request: bytes) -> list[bytes]:
        order.append(request[0])
        return [reply_to(request)]

    packets = Builder(SIZE).build("storm", 1, BEGAN_AT)
    run(packets, answer, Storm(1, 1000))
    assert order == [ACCESS_REQUEST, 4]


def _sample_of(work: str, **changed: object) -> tuple[Packets, Sample]:
    packets = Builder(SIZE).build(work, 1, BEGAN_AT)
    return packets, Sample(0, reply_to(packets.packet(0), **changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [4, 30, -1], ids=["authenticator", "Message-Authenticator", "last octet"])
def test_a_reply_with_one_wrong_bit_is_noticed(at: int) -> None:
    packets, sample = _sample_of("pap")
    broken = bytearray(sample.reply)
    broken[at] ^= 1
    assert verify.first_fault(packets, [sample], rates_by_plan=False) == ""
    assert "authenticator" in verify.first_fault(packets, [Sample(0, bytes(broken))], rates_by_plan=False).lower()


@pytest.mark.parametrize(
    ("work", "changed", "fault"),
    [
        ("pap", {"code": 3}, "code 3 in place of 2"),
        ("interim", {"code": 2}, "code 2 in place of 5"),
        ("pap", {"rate_limit": "1k/1k"}, "Mikrotik-Rate-Limit"),
    ],
)
def test_a_reply_that_says_something_else_is_noticed(work: str, changed: dict[str, object], fault: str) -> None:
    packets, sample = _sample_of(work, **changed)
    assert fault in verify.first_fault(packets, [sample], rates_by_plan=False)


def test_a_speed_that_is_another_plans_is_noticed() -> None:
    packets = Builder(SIZE).build("mschapv2", 1, BEGAN_AT)  # subscriber 1, of the second plan
    sample = Sample(0, reply_to(packets.packet(0)))
    assert "Mikrotik-Rate-Limit" in verify.first_fault(packets, [sample], rates_by_plan=True)


def test_a_reply_without_message_authenticator_is_noticed() -> None:
    packets, sample = _sample_of("pap")
    head, body = bytearray(sample.reply[:20]), sample.reply[38:]
    head[2:4] = (20 + len(body)).to_bytes(2)
    head[4:20] = md5(bytes(head[:4]) + packets.packet(0)[4:20] + body + SECRET).digest()
    fault = verify.first_fault(packets, [Sample(0, bytes(head) + body)], rates_by_plan=False)
    assert "lacks Message-Authenticator" in fault


MACHINE = Machine("a processor", 2, 8.0, "Linux", 0.5, "3.2.7", "15.18", "3.11", "")


def results_of(*points: Point) -> Results:
    return Results("2026-01-01", MACHINE, 100_000, 20_000, outstanding=256, history=0, points=list(points))


def point(peer: str, work: str, packets_per_s: float, *, history: int = 0, p99_ms: float = 5, fault: str = "") -> Point:
    rest = {"server_cpu_s": 0.1, "postgres_cpu_s": 0.1, "generator_cpu_s": 0.01, "others_share": 0.0}
    counts = {"answered": 1, "retransmitted": 0, "lost": 0, "verified": 1}
    return Point(peer, work, history, 256, packets_per_s, 1, 2, p99_ms, **rest, **counts, fault=fault)  # type: ignore[arg-type]


def verdicts(results: Results) -> list[bool | None]:
    return [target.met for target in targets(results)]


def test_a_run_that_measured_nothing_met_and_missed_no_target() -> None:
    assert verdicts(results_of()) == [None] * 8


@pytest.mark.parametrize(
    ("kibali", "met"), [(7_000, [True, True, True]), (6_999, [False, True, True]), (2_999, [False, False, False])]
)
def test_targets_are_ratios_to_the_peers(kibali: float, met: list[bool]) -> None:
    peers = [point("sql-tuned", "pap", 1_000), point("python", "pap", 10_000)]
    peers += [point("sql-stock", "mix", 1_000), point("sql-tuned", "mix", 900)]
    results = results_of(*peers, point("kibali", "pap", kibali), point("kibali", "mix", kibali))
    assert verdicts(results)[:3] == met


def test_a_fast_run_that_lost_octets_meets_nothing() -> None:
    results = results_of(point("sql-tuned", "pap", 1_000), point("kibali", "pap", 9_000, fault="octets are missing"))
    assert verdicts(results)[0] is False
    assert results.faults() == ["kibali, pap, 0 closed sessions, 256 outstanding: octets are missing"]


@pytest.mark.parametrize(("with_history", "met"), [(90, True), (89, False)])
def test_history_is_judged_by_the_work_that_suffers_most(with_history: float, met: bool) -> None:
    points = [point("kibali", work, 100) for work in ("pap", "stop")]
    points += [
        point("kibali", "pap", 120, history=10_000_000),
        point("kibali", "stop", with_history, history=10_000_000),
    ]
    assert verdicts(results_of(*points))[3] is met


def test_the_storm_the_memory_and_the_connections_have_limits() -> None:
    results = results_of()
    results.half_rate = [point("kibali", "pap", 100, p99_ms=9.9), point("kibali", "mix", 100, p99_ms=10)]
    results.storms = [StormResult("kibali", 20_000, 2.0, 9.9, 5, 0, "")]
    results.soaks = [SoakResult("kibali", 2_000_000, 100, 105, "")]
    results.connections = {"kibali": 8}
    assert verdicts(results)[4:] == [False, True, True, True]
    results.storms = [StormResult("kibali", 20_000, 2.0, 9.9, 5, 1, "1 request got no answer")]
    results.soaks = [SoakResult("kibali", 2_000_000, 100, 106, "")]
    results.connections = {"kibali": 9}
    assert verdicts(results)[5:] == [False, False, False]


def test_results_survive_their_file_and_the_report_names_every_fault(tmp_path: Path) -> None:
    results = results_of(point("kibali", "pap", 4_321.0), point("sql-tuned", "pap", 1_000.0))
    results.policy["sql-tuned"] = "refused nobody"
    results.memory_bytes["kibali"] = (1, 2)
    save(results, tmp_path / "results.json")
    again = load_results(tmp_path / "results.json")
    assert again == results
    text = report.markdown(again)
    assert "- sql-tuned, policy: refused nobody" in text
    assert "| PAP login | 1,000 | 4,321 |" in text
    assert "| PAP login | 4.32 × |" in text
