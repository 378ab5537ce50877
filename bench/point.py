"""One point of the table: one peer, one kind of work, so many requests outstanding."""

import os
import time
from dataclasses import dataclass
from typing import Protocol

from bench import verify
from bench.datagrams import ServerGone
from bench.load import Load, Outcome
from bench.pacing import Outstanding, Rate
from bench.packets import ACCESS_ACCEPT, ACCOUNTING_RESPONSE, Packets
from bench.peer import Peer
from bench.policy import PolicyTables
from bench.usage import cpu_seconds, family_cpu_seconds, machine_busy_seconds
from bench.work import Builder
from cli.failure import Failure
from settings import Settings

# Logs of logins are written in the background.
_LOG_WITHIN_S = 5.0


@dataclass(frozen=True)
class Point:
    peer: str
    work: str
    history: int
    """Closed sessions in the tables before the run."""
    outstanding: int
    packets_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    server_cpu_s: float
    """Seconds of processor time for a thousand packets."""
    postgres_cpu_s: float
    generator_cpu_s: float
    others_share: float
    """Of the machine's processor time, what went to neither server, PostgreSQL nor generator."""
    answered: int
    retransmitted: int
    lost: int
    verified: int
    """Replies whose every octet was looked at."""
    fault: str
    """What was not right; empty if nothing."""
    offered_per_s: int = 0
    """Packets a second that were offered; 0: as many as were answered."""


@dataclass(frozen=True)
class _Mark:
    """Processor time used until a moment."""

    at: float = 0.0
    server_s: float = 0.0
    postgres_s: float = 0.0
    generator_s: float = 0.0
    machine_s: float = 0.0

    @classmethod
    def now(cls, server_pid: int, postgres_pid: int) -> "_Mark":
        server_s, postgres_s = cpu_seconds(server_pid), family_cpu_seconds(postgres_pid)
        return cls(time.monotonic(), server_s, postgres_s, time.process_time(), machine_busy_seconds())

    def others_share_since(self, earlier: "_Mark") -> float:
        ours_s = self.server_s + self.postgres_s + self.generator_s
        ours_s -= earlier.server_s + earlier.postgres_s + earlier.generator_s
        available_s = (self.at - earlier.at) * (os.cpu_count() or 1)
        others_s = self.machine_s - earlier.machine_s - ours_s
        return max(0.0, others_s / available_s) if available_s else 0.0


class Tables(PolicyTables, Protocol):
    """What a peer keeps in the database."""

    def reset(self, open_sessions: int, began_at: int) -> None: ...
    def check(self, reported: dict[int, tuple[int, int]]) -> str: ...
    def logged_logins(self) -> int: ...
    def connections(self) -> int: ...


@dataclass(frozen=True)
class Running:
    """A peer that is ready to be measured."""

    peer: Peer
    settings: Settings
    builder: Builder
    server_pid: int
    postgres_pid: int
    tables: Tables | None
    history: int
    packets_at_most: int = 0
    """0: as many as it may answer."""

    def measure(self, work: str, outstanding: int, warm_up_s: float, seconds: float, offered_per_s: int = 0) -> Point:
        """With `offered_per_s` packets are sent at that rate, and `outstanding` is only the most there may be."""
        packets = self._prepare(work, warm_up_s + seconds, offered_per_s)
        marks: list[_Mark] = []

        def mark(begins: bool) -> None:
            marks.append(_Mark.now(self.server_pid, self.postgres_pid))

        load = Load(packets, self.settings.radius_auth_port, self.settings.radius_acct_port)
        try:
            pacing = Rate(offered_per_s) if offered_per_s else Outstanding(outstanding)
            outcome = load.run(pacing, warm_up_s, seconds, mark)
        except ServerGone:
            raise Failure(
                f"{self.peer.title} ended in the middle of a run. See its log; --keep DIR keeps it."
            ) from None
        finally:
            load.close()
        return self._point(work, outstanding, offered_per_s, packets, outcome, marks)

    def _prepare(self, work: str, seconds: float, offered_per_s: int) -> Packets:
        per_s = offered_per_s or self.peer.fastest_per_s
        began_at = int(time.time())
        number = int(per_s * seconds)
        packets = self.builder.build(work, min(number, self.packets_at_most or number), began_at)
        if self.tables:
            open_sessions = len(packets) if work == "stop" else self.builder.size.open_sessions
            self.tables.reset(open_sessions, began_at)
        return packets

    def _point(
        self,
        work: str,
        outstanding: int,
        offered_per_s: int,
        packets: Packets,
        outcome: Outcome,
        marks: list[_Mark],
    ) -> Point:
        latencies_ms = [latency / 1e6 for latency in sorted(outcome.latencies_ns[outcome.window])]
        answered = len(latencies_ms)
        thousands = max(1, answered) / 1000
        begin, end = marks if len(marks) == 2 else (_Mark(), _Mark())
        p50, p95, p99 = (latencies_ms[int(answered * share)] if answered else 0.0 for share in (0.50, 0.95, 0.99))
        return Point(
            peer=self.peer.name,
            work=work,
            history=self.history,
            outstanding=outstanding,
            packets_per_s=answered / outcome.window_s if outcome.window_s else 0.0,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            server_cpu_s=(end.server_s - begin.server_s) / thousands,
            postgres_cpu_s=(end.postgres_s - begin.postgres_s) / thousands,
            generator_cpu_s=(end.generator_s - begin.generator_s) / thousands,
            others_share=end.others_share_since(begin),
            answered=answered,
            retransmitted=outcome.retransmitted,
            lost=len(outcome.lost),
            verified=len(outcome.samples),
            fault=self.fault(packets, outcome),
            offered_per_s=offered_per_s,
        )

    def fault(self, packets: Packets, outcome: Outcome) -> str:
        """What was not right; empty if nothing.

        That a peer is too slow to answer is a finding, not a fault. What of the unanswered its tables hold is unknown.
        """
        if outcome.lost:
            return f"{len(outcome.lost)} requests got no answer" if self.peer.is_ours else ""
        logins = sum(packets.is_login[number] for number in outcome.numbers)
        expected = {ACCESS_ACCEPT: logins, ACCOUNTING_RESPONSE: len(outcome.numbers) - logins}
        if {code: number for code, number in expected.items() if number} != outcome.codes:
            return f"answers by code: {dict(outcome.codes)} in place of {expected}"
        if fault := verify.first_fault(packets, outcome.samples, rates_by_plan=self.tables is not None):
            return fault
        if self.tables is None:
            return ""
        if fault := self.tables.check(packets.reported(outcome.numbers)):
            return fault
        deadline = time.monotonic() + _LOG_WITHIN_S
        while (logged := self.tables.logged_logins()) < logins and time.monotonic() < deadline:
            time.sleep(0.1)
        return "" if logged == logins else f"{logged} logins are in the log in place of {logins}"
