"""The load generator: sends prepared packets when they are due, and times every answer."""

import os
import select
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns, sleep

from bench.datagrams import BATCH, REPLY_BYTES, Inbox, Outbox, connected_socket
from bench.pacing import Pacing
from bench.packets import IDENTIFIERS, Packets

# As Kibali sets up RouterOS: timeout=3s, of which there are three.
TIMEOUT_NS = 3_000_000_000
TRIES = 3

# One answer in so many is kept, to be verified when the run is over.
SAMPLE_EVERY = 100
_LOOK_FOR_OVERDUE_EVERY_NS = 50_000_000
# Answers that come within so short a time are taken together, which leaves the processor to the server.
_NAP_S = 50e-6


@contextmanager
def _on_first_processor() -> Iterator[None]:
    """The generator stands for routers, which are no processes of the server's machine: it wanders about among no
    peer's threads.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True, slots=True)
class Sample:
    number: int
    """Of the request."""
    reply: bytes


@dataclass
class Outcome:
    """What came of a run. Each answer is an entry in `numbers` and in `latencies_ns`, in the order of arrival."""

    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    latencies_ns: "array[int]" = field(default_factory=lambda: array("Q"))
    codes: "Counter[int]" = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    sent: int = 0
    retransmitted: int = 0
    lost: list[int] = field(default_factory=list)
    """Requests that were tried three times in vain."""
    stray: int = 0
    """Answers to what was answered or given up before."""
    window: slice = field(default_factory=lambda: slice(0, 0))
    """The answers that count: those after the warm-up and before the end."""
    window_s: float = 0.0
    total_s: float = 0.0


class Load:
    """One run over `packets`, against a server on this machine. Use it once, then close it."""

    def __init__(self, packets: Packets, auth_port: int, acct_port: int) -> None:
        self.outcome = Outcome()
        self._packets = packets
        self._addresses = packets.addresses()
        self._queues = [queue[::-1] for queue in packets.queues]  # the next is at the end
        self._free = deque(slot for slot, queue in enumerate(self._queues) if queue)
        self._in_slot = [0] * packets.slots
        self._sent_at = [0] * packets.slots
        """0: nothing is out."""
        self._tries = [0] * packets.slots
        self._inbox = Inbox()
        self._poll = select.epoll()
        # For each 256 slots a socket to either port; a slot has the same identifier in both.
        self._sockets = []
        self._outboxes: tuple[list[Outbox], list[Outbox]] = [], []
        self._kinds: dict[int, tuple[int, int]] = {}
        """File of a socket → its first slot, and whether it is for logins."""
        for first_slot in range(0, packets.slots, IDENTIFIERS):
            for kind, port in enumerate((acct_port, auth_port)):
                opened = connected_socket(port)
                self._sockets.append(opened)
                self._outboxes[kind].append(Outbox(opened))
                self._kinds[opened.fileno()] = first_slot, kind
                self._poll.register(opened.fileno(), select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for opened in self._sockets:
            opened.close()

    def run(
        self,
        pacing: Pacing,
        warm_up_s: float,
        seconds: float,
        on_window: Callable[[bool], None] = lambda begins: None,
    ) -> Outcome:
        """Sends until `seconds` after the warm-up, or until all is sent; then waits for what is out.

        `on_window` is called when the window of measurement begins (True) and when it ends (False).
        """
        with _on_first_processor():
            return self._run(pacing, int(warm_up_s * 1e9), int(seconds * 1e9), on_window)

    def _run(self, pacing: Pacing, warm_up_ns: int, window_ns: int, on_window: Callable[[bool], None]) -> Outcome:
        outcome, free = self.outcome, self._free
        began = perf_counter_ns()
        window_at, end_at = began + warm_up_ns, began + warm_up_ns + window_ns
        window_began = 0
        look_at = began + _LOOK_FOR_OVERDUE_EVERY_NS
        now = began
        while now < end_at and (free or self._outstanding):
            due = pacing.due(now - began, outcome.sent, outcome.sent - self._outstanding)
            if due > 0:
                self._send(due, pacing, began)
            for file, _ in self._poll.poll(pacing.wait_s):
                freed = self._receive(file)
                if pacing.freed_first:
                    free.extendleft(freed)
                else:
                    free.extend(freed)
            now = perf_counter_ns()
            if not window_began and now >= window_at:
                on_window(True)
                window_began = now = perf_counter_ns()
                outcome.window = slice(len(outcome.numbers), len(outcome.numbers))
            if now >= look_at:
                self._look_for_overdue(now)
                look_at = now + _LOOK_FOR_OVERDUE_EVERY_NS
            sleep(_NAP_S)
        if window_began:
            outcome.window = slice(outcome.window.start, len(outcome.numbers))
            outcome.window_s = (perf_counter_ns() - window_began) / 1e9
            on_window(False)
        self._drain()
        outcome.total_s = (perf_counter_ns() - began) / 1e9
        return outcome

    @property
    def _outstanding(self) -> int:
        return self.outcome.sent - len(self.outcome.numbers) - len(self.outcome.lost)

    def _send(self, count: int, pacing: Pacing, began: int) -> None:
        """The next packets of the slots that are free longest; a slot that has none left rests for good."""
        free, queues, addresses = self._free, self._queues, self._addresses
        in_slot, sent_at, tries = self._in_slot, self._sent_at, self._tries
        lengths, is_login, outboxes = self._packets.lengths, self._packets.is_login, self._outboxes
        touched: set[Outbox] = set()
        sent, now = self.outcome.sent, perf_counter_ns()
        while count and free:
            slot = free.popleft()
            queue = queues[slot]
            if not queue:
                continue
            number = queue.pop()
            due_at_ns = pacing.due_at_ns(sent)
            sent_at[slot] = now if due_at_ns is None else began + due_at_ns
            in_slot[slot] = number
            tries[slot] = 0
            outbox = outboxes[is_login[number]][slot // IDENTIFIERS]
            outbox.add(addresses[number], lengths[number])
            touched.add(outbox)
            sent += 1
            count -= 1
        self.outcome.sent = sent
        for outbox in touched:
            outbox.send()

    def _receive(self, file: int) -> list[int]:
        """Takes what has come; the slots that are free by it."""
        outcome, inbox = self.outcome, self._inbox
        sent_at, in_slot, data = self._sent_at, self._in_slot, inbox.data
        numbers, latencies_ns, codes = outcome.numbers, outcome.latencies_ns, outcome.codes
        is_login = self._packets.is_login
        first_slot, kind = self._kinds[file]
        freed: list[int] = []
        while True:
            received = inbox.receive(file)
            now = perf_counter_ns()
            for at in range(0, received * REPLY_BYTES, REPLY_BYTES):
                slot = first_slot + data[at + 1]
                sent = sent_at[slot]
                number = in_slot[slot]
                if not sent or is_login[number] != kind:
                    outcome.stray += 1
                    continue
                sent_at[slot] = 0
                numbers.append(number)
                latencies_ns.append(now - sent)
                codes[data[at]] += 1
                freed.append(slot)
                if number % SAMPLE_EVERY == 0:
                    outcome.samples.append(Sample(number, inbox.reply(at // REPLY_BYTES)))
            if received < BATCH:
                return freed

    def _look_for_overdue(self, now: int) -> None:
        """Sends again what is not answered in time; gives up what was tried often enough."""
        for slot, sent in enumerate(self._sent_at):
            if not sent or now - sent < TIMEOUT_NS * (self._tries[slot] + 1):
                continue
            number = self._in_slot[slot]
            self._tries[slot] += 1
            if self._tries[slot] == TRIES:
                self.outcome.lost.append(number)
                self._sent_at[slot] = 0
                self._free.append(slot)
                continue
            outbox = self._outboxes[self._packets.is_login[number]][slot // IDENTIFIERS]
            outbox.add(self._addresses[number], self._packets.lengths[number])
            outbox.send()
            self.outcome.retransmitted += 1

    def _drain(self) -> None:
        """Waits until everything that is out is answered or given up."""
        while self._outstanding:
            for file, _ in self._poll.poll(0.05):
                self._receive(file)
            self._look_for_overdue(perf_counter_ns())
