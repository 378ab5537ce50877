"""Carries a plan out: every peer with every history, on one PostgreSQL."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from bench import history, machine, peer, policy
from bench.kibali_tables import KibaliTables
from bench.peer import PEERS, Peer
from bench.plan import Plan
from bench.point import Point, Running
from bench.results import Results
from bench.soak import SoakResult, soak
from bench.sql_tables import SqlTables
from bench.storm import StormResult, storm
from bench.surroundings import Surroundings, running_postgres
from bench.usage import resident_bytes
from bench.work import Builder


class Audience(Protocol):
    """Is told how it goes."""

    def doing(self, what: str) -> None: ...
    def measured(self, result: Point | StormResult | SoakResult) -> None: ...


def carry_out(plan: Plan, around: Surroundings, audience: Audience) -> Results:
    return _Run(plan, around, audience).results


class _Run:
    def __init__(self, plan: Plan, around: Surroundings, audience: Audience) -> None:
        self._plan, self._around, self._audience = plan, around, audience
        self._builder = Builder(plan.size)
        self._kibali = KibaliTables(around.settings, plan.size)
        self._sql = SqlTables(around.settings, plan.size)
        audience.doing("making the database")
        with running_postgres(around) as self._postgres_pid:
            self.results = Results(
                date=datetime.now(UTC).isoformat(timespec="seconds"),
                machine=machine.describe(around),
                subscribers=plan.size.subscribers,
                open_sessions=plan.size.open_sessions,
                outstanding=plan.compared_outstanding,
                history=min(plan.histories),
            )
            _together(self._kibali.fill, self._sql.fill)
            for sessions in plan.histories:
                self._with_history(sessions)

    def _with_history(self, sessions: int) -> None:
        peers = [PEERS[name] for name in self._plan.peers if self._plan.steps(PEERS[name], sessions)]
        if sessions:
            self._fill_history(sessions, {each.tables for each in peers})
        # The schema of rlm_sql is changed as seldom as can be.
        for each in sorted(peers, key=lambda each: each.tables == "sql" and each.tuned != self._sql.is_tuned()):
            self._measure(each, sessions)

    def _fill_history(self, sessions: int, wanted: set[str]) -> None:
        self._audience.doing(f"making {sessions:,} closed sessions")
        subscribers = self._plan.size.subscribers

        def fill_kibali() -> None:
            with self._kibali.connection() as connection:
                history.fill_kibali(connection, sessions, subscribers)

        def fill_sql() -> None:
            with self._sql.connection() as connection:
                history.fill_sql(connection, sessions, subscribers)

        fills = (("kibali", fill_kibali), ("sql", fill_sql))
        _together(*(fill for name, fill in fills if name in wanted))

    def _measure(self, each: Peer, sessions: int) -> None:
        plan, results = self._plan, self.results
        self._audience.doing(f"starting {each.title}")
        with ready(each, self._around, self._builder, self._postgres_pid, sessions, plan.packets_at_most) as running:
            if each.same_policy and plan.is_first(sessions):
                assert running.tables is not None
                tables = running.tables
                results.policy[each.name] = policy.first_difference(
                    self._around.settings, tables, plan.size.subscribers
                )
            before = resident_bytes(running.server_pid)
            seconds = plan.seconds if running.tables else plan.seconds_without_database
            for step in plan.steps(each, sessions):
                self._audience.doing(f"{each.title}: {step.work}, {step.outstanding} outstanding")
                point = running.measure(step.work, step.outstanding, plan.warm_up_s, seconds)
                results.points.append(point)
                self._audience.measured(point)
            if running.tables:
                results.connections[each.name] = running.tables.connections()
            if not plan.is_first(sessions):
                return
            results.memory_bytes[each.name] = before, resident_bytes(running.server_pid)
            if plan.has_half_rate(each, sessions):
                self._measure_half_rate(running, seconds)
            if plan.soak_packets and each.is_ours:
                self._soak(running)
            # Last: what it makes of the server's memory is not to be seen in the soak.
            if plan.has_storm(each, sessions):
                self._audience.doing(f"{each.title}: reconnect storm")
                results.storms.append(storm(running, plan.storm_subscribers, plan.storm_over_s))
                self._audience.measured(results.storms[-1])

    def _measure_half_rate(self, running: Running, seconds: float) -> None:
        for work in self._plan.half_rate_works:
            at_most = self.results.point(running.peer.name, work)
            if at_most is None:
                continue
            rate = max(1, int(at_most.packets_per_s / 2))
            self._audience.doing(f"{running.peer.title}: {work}, {rate:,}/s")
            point = running.measure(
                work, self._plan.compared_outstanding, self._plan.warm_up_s, 2 * seconds, offered_per_s=rate
            )
            self.results.half_rate.append(point)
            self._audience.measured(point)

    def _soak(self, running: Running) -> None:
        packets = self._plan.soak_packets

        def progress(answered: int) -> None:
            self._audience.doing(f"{running.peer.title}: {answered:,} of {packets:,} packets")

        progress(0)
        self.results.soaks.append(soak(running, packets, progress))
        self._audience.measured(self.results.soaks[-1])


@contextmanager
def ready(
    each: Peer,
    around: Surroundings,
    builder: Builder,
    postgres_pid: int,
    sessions: int = 0,
    packets_at_most: int = 0,
) -> Iterator[Running]:
    """The peer with its tables filled, FreeRADIUS running. `sessions`: what its history holds already."""
    tables: KibaliTables | SqlTables | None = None
    if each.tables == "kibali":
        tables = KibaliTables(around.settings, builder.size)
        tables.fill()
    elif each.tables == "sql":
        tables = SqlTables(around.settings, builder.size)
        tables.fill()
        tables.tune(each.tuned)
    elif each.asks:
        KibaliTables(around.settings, builder.size).fill()
    with peer.running(each, around) as pid:
        yield Running(each, around.settings, builder, pid, postgres_pid, tables, sessions, packets_at_most)


def _together(*works: Callable[[], None]) -> None:
    """Side by side; raises what one of them raised."""
    with ThreadPoolExecutor(max_workers=max(1, len(works))) as pool:
        futures = [pool.submit(work) for work in works]
    for future in futures:
        future.result()
