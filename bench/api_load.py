"""HTTP load: some connections, each sending its next request as soon as the last one is answered.

`python -m bench.api_load` reads a `Load` as JSON and writes a `Measured`: a process of its own, so that what it costs
is not the server's.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from api.cursor import encode
from db.page import Position


@dataclass(frozen=True)
class Load:
    work: str
    port: int
    connections: int
    warm_up_s: float
    seconds: float
    token: str
    """Of the API or, for webhooks, of the path."""
    first_id: int
    """Of the subscribers, which are numbered without a gap."""
    subscribers: int
    tenant_id: int
    seed: int


@dataclass(frozen=True)
class Measured:
    total: int
    """Requests, those of the warm-up among them."""
    requests: int
    seconds: float
    statuses: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    """In order of size."""


def requests_of(load: Load) -> Iterator[bytes]:
    """One after the other, without end."""
    chance = random.Random(load.seed)  # noqa: S311
    auth = f"Authorization: Bearer {load.token}\r\n"
    for number in itertools.count():
        one = load.first_id + chance.randrange(load.subscribers)
        match load.work:
            case "bare":
                yield _head("GET", f"/subscribers?tenant_id={load.tenant_id}&after={one}")
            case "list":
                yield _head("GET", f"/api/v1/subscribers?cursor={encode('id', Position(one, one))}", auth)
            case "read":
                yield _head("GET", f"/api/v1/subscribers/{one}", auth)
            case "create":
                made = {"name": f"New {load.seed} {number}", "note": "made by the benchmark"}
                yield _head("POST", "/api/v1/subscribers", auth, json.dumps(made).encode())
            case "webhook":
                yield _head("POST", f"/webhooks/daraja/c2b/{load.token}/confirmation", "", _paid(load.seed, number))
            case _:
                raise ValueError(load.work)


def _head(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode() + body


def _paid(seed: int, number: int) -> bytes:
    """As M-Pesa tells of a payment to a paybill."""
    told = {
        "TransactionType": "Pay Bill",
        "TransID": f"B{seed:03}{number:06}",
        "TransTime": "20261127120000",
        "TransAmount": "50.00",
        "BusinessShortCode": "600000",
        "BillRefNumber": f"subscriber{number}",
        "InvoiceNumber": "",
        "OrgAccountBalance": "1000.00",
        "ThirdPartyTransID": "",
        "MSISDN": "254712345678",
        "FirstName": "Wanjiku",
        "MiddleName": "",
        "LastName": "Kamau",
    }
    return json.dumps(told).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, following: Callable[[], bytes], answered: Callable[[int, float], None]) -> None:
        self._following = following
        self._answered = answered
        self._received = bytearray()
        self._sent_at = 0.0
        self.transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._received.lower().find(b"content-length:", 0, end)
        length = int(self._received[at + 15 : self._received.find(b"\r\n", at)]) if at >= 0 else 0
        if len(self._received) < end + 4 + length:
            return
        self._answered(int(self._received[9:12]), time.perf_counter() - self._sent_at)
        self._received.clear()
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        assert self.transport is not None
        self.transport.write(self._following())


async def measure(load: Load) -> Measured:
    following = requests_of(load)
    statuses: dict[str, int] = {}
    latencies_ms: list[float] = []
    counts, total = False, 0

    def answered(status: int, took_s: float) -> None:
        nonlocal total
        total += 1
        if counts:
            statuses[str(status)] = statuses.get(str(status), 0) + 1
            latencies_ms.append(round(took_s * 1000, 3))

    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: _Connection(lambda: next(following), answered), "127.0.0.1", load.port)
        for _ in range(load.connections)
    ]
    await asyncio.sleep(load.warm_up_s)
    counts, began = True, time.perf_counter()
    await asyncio.sleep(load.seconds)
    counts, took_s = False, time.perf_counter() - began
    lost = sum(protocol.lost for _, protocol in made)
    for transport, _ in made:
        transport.close()
    if lost:
        statuses["connection lost"] = lost
    return Measured(total, len(latencies_ms), took_s, statuses, sorted(latencies_ms))


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(measure(Load(**json.load(sys.stdin))))), sys.stdout)
