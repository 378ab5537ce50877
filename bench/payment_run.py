"""Carries the payment benchmark out: the bare webhook, then Kibali, on one PostgreSQL, under the same callbacks."""

import asyncio
import functools
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from bench import machine, payment_load
from bench.payment_books import PaymentBooks, Prompt
from bench.payment_load import Sent
from bench.payment_logins import Logins
from bench.payment_results import TITLES, PaymentPoint, PaymentResults, percentile_ms
from bench.surroundings import Surroundings, running_part, running_postgres, running_program
from bench.usage import family_cpu_seconds
from cli.failure import Failure
from cli.instance.parts import our_parts
from settings import Settings

PARTS = ("redis", "freeradius", "sweep", "worker-payments", "api")
OUTSTANDING = 64
_APPLIED_WITHIN_S = 120
_STARTS_WITHIN_S = 30
_WARM_UP = 50
# Of what was offered; who does less than this falls behind.
_BEHIND = 0.8
# One in so many customers who have a subscription presses "log in" until it works: enough to know, few enough not to
# be a load.
_WATCHED = 3


@dataclass(frozen=True)
class PaymentPlan:
    subscribers: int
    rates: tuple[int, ...]
    """Callbacks a second, from few to many; what is beyond the first at which Kibali falls behind is left out."""
    seconds: float
    burst: int
    """So many callbacks as fast as they are answered; 0: none."""


WHOLE = PaymentPlan(subscribers=20_000, rates=(50, 100, 200, 400), seconds=12.0, burst=2_000)
QUICK = PaymentPlan(subscribers=1_000, rates=(50,), seconds=2.0, burst=100)


class Audience(Protocol):
    def doing(self, what: str) -> None: ...
    def measured(self, point: PaymentPoint) -> None: ...


def settings_of_run() -> dict[str, str]:
    """What differs from a Kibali as shipped: a login that is refused is told so at once, as it is pressed again."""
    return {"radius_reject_delay_s": "0", "public_url": "http://127.0.0.1:1"}


def carry_out(plan: PaymentPlan, around: Surroundings, audience: Audience) -> PaymentResults:
    audience.doing("making the database")
    with running_postgres(around) as postgres_pid:
        books = PaymentBooks(around.settings, plan.subscribers)
        books.fill()
        results = PaymentResults(
            datetime.now(UTC).isoformat(timespec="seconds"), machine.describe(around), plan.subscribers
        )

        def note(point: PaymentPoint) -> None:
            results.points.append(point)
            audience.measured(point)

        for running in (_bare_webhook, _kibali):
            audience.doing("starting what is measured")
            with running(around, books, postgres_pid) as receiver:
                _measure_all(receiver, plan, audience, note)
    return results


@dataclass(frozen=True)
class _Receiver:
    name: str
    url: str
    auth_port: int
    pids: Mapping[str, int]
    books: PaymentBooks

    @property
    def is_ours(self) -> bool:
        return self.name == "kibali"

    def used_s(self) -> dict[str, float]:
        """Seconds of processor time until now, with all children."""
        return {name: family_cpu_seconds(pid) for name, pid in self.pids.items()}


def _measure_all(
    receiver: _Receiver, plan: PaymentPlan, audience: Audience, note: Callable[[PaymentPoint], None]
) -> None:
    audience.doing(f"{TITLES[receiver.name]}: warming up")
    _measure(receiver, _WARM_UP, 0)
    for rate in plan.rates:
        audience.doing(f"{TITLES[receiver.name]}: {rate} callbacks a second")
        point = _measure(receiver, int(rate * plan.seconds), rate)
        note(point)
        if receiver.is_ours and min(point.answered_per_s, point.applied_per_s) < _BEHIND * rate:
            break
    if plan.burst:
        audience.doing(f"{TITLES[receiver.name]}: {plan.burst:,} callbacks, as fast as they are answered")
        note(_measure(receiver, plan.burst, 0))


def _measure(receiver: _Receiver, number: int, rate: int) -> PaymentPoint:
    """So many callbacks at that rate, or (0) as fast as they are answered."""
    books = receiver.books
    books.reset()
    prompts = books.prompts(number)
    before = receiver.used_s()
    sent, logins, credited = asyncio.run(_send(receiver, prompts, rate))
    used = {name: seconds - before[name] for name, seconds in receiver.used_s().items()}
    latencies_s = sent.latencies_s
    fault = f"{sent.refused} callbacks were not taken" if sent.refused else ""
    if receiver.is_ours and credited.payments < number:
        fault = fault or f"{credited.payments} of {number} payments were credited within {credited.after_s:.0f} s"
    elif receiver.is_ours:
        fault = fault or books.fault(number) or (f"{logins.never} customers never got in" if logins.never else "")
    return PaymentPoint(
        peer=receiver.name,
        offered_per_s=rate,
        sent=number,
        answered_per_s=len(latencies_s) / sent.lasted_s,
        p50_ms=percentile_ms(latencies_s, 0.50),
        p95_ms=percentile_ms(latencies_s, 0.95),
        p99_ms=percentile_ms(latencies_s, 0.99),
        refused=sent.refused,
        applied_per_s=credited.payments / credited.after_s if credited.payments else 0.0,
        login_p50_ms=percentile_ms(logins.latencies_s, 0.50),
        login_p99_ms=percentile_ms(logins.latencies_s, 0.99),
        logins=len(logins.latencies_s),
        cpu_ms={name: seconds * 1000 / (credited.payments or number) for name, seconds in used.items()},
        fault=fault,
    )


@dataclass(frozen=True)
class _Credited:
    """So many payments, so many seconds after the first callback; none of a peer."""

    payments: int = 0
    after_s: float = 0.0


async def _send(receiver: _Receiver, prompts: Sequence[Prompt], rate: int) -> tuple[Sent, Logins, _Credited]:
    """What was sent, who logged in, what was credited."""
    logins = Logins(receiver.auth_port, _WATCHED)
    applied: asyncio.Future[_Credited] | None = None
    if receiver.is_ours:
        wait = functools.partial(_wait_until_applied, receiver.books, len(prompts))
        applied = asyncio.get_running_loop().run_in_executor(None, wait)
    if rate:
        watch = logins.watch if receiver.is_ours else lambda *_: None
        sent = await payment_load.at_rate(receiver.url, prompts, rate, watch)
    else:
        sent = await payment_load.at_once(receiver.url, prompts, OUTSTANDING)
    await logins.wait()
    return sent, logins, await applied if applied else _Credited()


def _wait_until_applied(books: PaymentBooks, number: int) -> _Credited:
    """Waits no longer than that."""
    began, applied = time.monotonic(), 0
    deadline = began + _APPLIED_WITHIN_S
    with books.connection() as connection:
        while time.monotonic() < deadline:
            (applied,) = connection.execute("SELECT count(*) FROM payment WHERE state = 'applied'").fetchone() or (0,)
            if applied >= number:
                break
            time.sleep(0.1)
    return _Credited(applied, time.monotonic() - began)


@contextmanager
def _bare_webhook(around: Surroundings, books: PaymentBooks, postgres_pid: int) -> Iterator[_Receiver]:
    settings = around.settings
    dsn = settings.database_admin_dsn(settings.database_name)
    with running_program(around, "bench.bare_webhook", str(settings.http_port), dsn) as process:
        _wait_until_it_listens(settings)
        yield _receiver("bare", settings, {"API": process.pid, "PostgreSQL": postgres_pid}, books)


@contextmanager
def _kibali(around: Surroundings, books: PaymentBooks, postgres_pid: int) -> Iterator[_Receiver]:
    names = {"api": "API", "worker-payments": "workers", "redis": "Redis", "freeradius": "FreeRADIUS"}
    with ExitStack() as stack:
        parts = {part.name: part for part in our_parts(around.settings)}
        pids = {name: stack.enter_context(running_part(around, parts[name])) for name in PARTS}
        told = {title: pids[part] for part, title in names.items()}
        yield _receiver("kibali", around.settings, {**told, "PostgreSQL": postgres_pid}, books)


def _receiver(name: str, settings: Settings, pids: Mapping[str, int], books: PaymentBooks) -> _Receiver:
    return _Receiver(name, f"http://127.0.0.1:{settings.http_port}", settings.radius_auth_port, pids, books)


def _wait_until_it_listens(settings: Settings) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", settings.http_port), timeout=1).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"the bare webhook did not start: {error}") from None
            time.sleep(0.05)
