"""Asks routers to change sessions or to end them (RFC 5176): many requests at once, none held up by a silent router.

    with CoaClient() as client:
        asked = [client.disconnect(target, session) for target, session in …]
        for future in asked:
            answer = future.result()   # Acked or Nacked; raises NoAnswer

A NAK is an answer, silence is an exception. An ACK is a promise: what was done shows in accounting or at the router.
"""

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from ipaddress import ip_address
from threading import Lock, Thread

from tasks.coa_packet import (
    Acked,
    BadReply,
    Nacked,
    Pairs,
    Request,
    SessionIdentity,
    Target,
    coa_request,
    disconnect_request,
)
from tasks.coa_ports import Address, Slot, SourcePorts

Answer = Acked | Nacked


class NoAnswer(Exception):
    """No answer that could be verified, to any of the tries. Whether the router did it is not known."""

    def __init__(self, target: Target, tries: int, within_s: float, problem: str | None) -> None:
        why = f": {problem}" if problem else ""
        sent = f"{tries} {'try' if tries == 1 else 'tries'}" if tries else "not sent, others to it were waiting"
        super().__init__(f"{target.address} port {target.port} did not answer within {within_s:g} s ({sent}){why}.")
        self.tries = tries
        """0: its turn did not come, so the router knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """A request is repeated after `first_s`, then after twice as long each time up to `longest_s`, until `within_s`.

    That is counted from the call, the wait for a turn at the router included.
    """

    first_s: float = 0.5
    longest_s: float = 4.0
    within_s: float = 10.0


@dataclass(slots=True)
class Counters:
    """Datagrams, but for the last three of requests."""

    sent: int = 0
    repeated: int = 0
    """Of those sent."""
    malformed: int = 0
    unverified: int = 0
    """With a wrong authenticator: a wrong secret, or somebody who pretends to be the router."""
    late: int = 0
    """From a router, to a request that is over: mostly second answers."""
    stray: int = 0
    """From elsewhere."""
    acked: int = 0
    nacked: int = 0
    unanswered: int = 0


class CoaClient:
    """Make it after the fork of a worker, and keep it: its pacing is of one client. Its methods may be called from any
    thread; the sockets are in a thread of its own."""

    def __init__(
        self,
        *,
        patience: Patience = Patience(),
        in_flight_per_nas: int = 16,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives Event-Timestamp, in seconds since 1970."""
        if in_flight_per_nas < 1:
            raise ValueError("in_flight_per_nas must be at least 1")
        self._patience = patience
        self._clock = clock
        self._counters = Counters()
        self._turns: defaultdict[Address, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(in_flight_per_nas))
        self._ports = SourcePorts(self._count_stray)
        self._loop = asyncio.new_event_loop()
        self._is_open, self._gate = True, Lock()
        self._pid = os.getpid()
        self._thread = Thread(target=self._run, name="coa", daemon=True)
        self._thread.start()

    def __enter__(self) -> "CoaClient":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def counters(self) -> Counters:
        """As they are now."""
        return replace(self._counters)

    def coa(
        self, target: Target, session: SessionIdentity, attributes: Pairs, *, within_s: float | None = None
    ) -> Future[Answer]:
        """A CoA-Request with `attributes` to change. Raises CoaRequestError; the future raises NoAnswer."""
        return self._submit(coa_request(target, session, attributes, self._clock()), within_s)

    def disconnect(self, target: Target, session: SessionIdentity, *, within_s: float | None = None) -> Future[Answer]:
        """A Disconnect-Request. Raises CoaRequestError; the future raises NoAnswer."""
        return self._submit(disconnect_request(target, session, self._clock()), within_s)

    def close(self) -> None:
        """Futures that are not done are cancelled. A second time does nothing."""
        with self._gate:
            was_open, self._is_open = self._is_open, False
        if was_open and self._pid == os.getpid():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _submit(self, request: Request, within_s: float | None) -> Future[Answer]:
        if self._pid != os.getpid():
            raise RuntimeError("this CoaClient belongs to the process that made it: make one after the fork")
        with self._gate:
            if not self._is_open:
                raise RuntimeError("this CoaClient is closed")
            limit_s = self._patience.within_s if within_s is None else within_s
            return asyncio.run_coroutine_threadsafe(self._exchange(request, limit_s), self._loop)

    async def _exchange(self, request: Request, within_s: float) -> Answer:
        address = _kernels_name(request.target.address), request.target.port
        attempt = _Attempt(request, self._counters, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(within_s) as limit, self._turns[address]:
                # With less time than an answer takes, it would be done and not known to be.
                if (limit.when() or 0.0) - self._loop.time() < min(self._patience.first_s, within_s / 2):
                    raise TimeoutError
                attempt.slot = self._ports.take(address, attempt.on_datagram)
                return await attempt.run(self._patience)
        except TimeoutError:
            if attempt.answer.done():  # at the last moment
                return attempt.answer.result()
            self._counters.unanswered += 1
            raise NoAnswer(request.target, attempt.tries, within_s, attempt.problem) from None
        except OSError as error:
            self._counters.unanswered += 1
            raise NoAnswer(request.target, attempt.tries, within_s, f"no source port ({error.strerror})") from None
        finally:
            if attempt.slot:
                attempt.slot.release()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._ports.close()

    def _count_stray(self, is_from_a_router: bool) -> None:
        if is_from_a_router:
            self._counters.late += 1
        else:
            self._counters.stray += 1


def _kernels_name(address: str) -> str:
    """As `recvfrom` gives it."""
    parsed = ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@dataclass
class _Attempt:
    """One request on its way."""

    request: Request
    counters: Counters
    answer: asyncio.Future[Answer]
    slot: Slot | None = None
    tries: int = 0
    first_sent_at: float = 0.0
    problem: str | None = None
    """What the last datagram ran into on our side, or what was wrong with an answer."""

    async def run(self, patience: Patience) -> Answer:
        """Sends it until an answer comes; the caller sets the limit."""
        assert self.slot is not None
        datagram = self.request.encode(self.slot.identifier)
        self.first_sent_at = time.monotonic()
        pause_s = patience.first_s
        while True:
            self.tries += 1
            self.counters.sent += 1
            self.counters.repeated += self.tries > 1
            self.problem = self.slot.send(datagram) or self.problem
            # Not all at the same moment, when many began together.
            await asyncio.wait({self.answer}, timeout=pause_s * random.uniform(0.9, 1.1))  # noqa: S311
            if self.answer.done():
                return self.answer.result()
            pause_s = min(2 * pause_s, patience.longest_s)

    def on_datagram(self, datagram: bytes) -> None:
        if self.answer.done():
            self.counters.late += 1
            return
        try:
            is_ack, error_cause = self.request.error_cause_of(datagram)
        except BadReply as error:
            setattr(self.counters, error.kind, getattr(self.counters, error.kind) + 1)
            if error.kind == "unverified":
                self.problem = "an answer did not verify; is the router's RADIUS secret the one we have?"
            return
        seconds = time.monotonic() - self.first_sent_at
        if is_ack:
            self.counters.acked += 1
            self.answer.set_result(Acked(self.tries, seconds))
        else:
            self.counters.nacked += 1
            self.answer.set_result(Nacked(error_cause, self.tries, seconds))
