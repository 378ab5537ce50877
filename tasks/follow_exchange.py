"""Carries out orders at routers: many at once, in one event loop, none held up by another's router.

It touches no table. What came of an order is handed to `on_result`, in the loop's thread.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread
from typing import Any, Literal, TypeVar

from isp.coa import Adjust
from isp.reply import Pairs
from tasks import routeros_async, session_api
from tasks.coa import CoaClient, NoAnswer, Patience
from tasks.coa_packet import Acked, CoaRequestError, Nacked, SessionIdentity
from tasks.coa_packet import Target as NasTarget
from tasks.routeros_dialogue import Conversation, sentence
from tasks.routeros_errors import Refused, RouterError
from tasks.routeros_target import Patience as ApiPatience
from tasks.routeros_target import Target as ApiTarget
from tasks.session_api import Online

T = TypeVar("T")

WITHIN_S = 8.0
"""All requests of one order together, but for the API's."""
COA_PATIENCE = Patience(first_s=0.4, longest_s=2.0, within_s=WITHIN_S)
API_PATIENCE = ApiPatience(connect_s=3.0, login_s=3.0, talk_s=4.0)
API_IDLE_S, API_FRESH_S = 20.0, 1.0

Kind = Literal["done", "gone", "refused", "silent", "unable"]


@dataclass(frozen=True, slots=True)
class Order:
    """What to do to one session, and by which way."""

    intent_id: int
    version: int
    attempt: int
    router_id: int
    way: str
    adjust: Adjust | None
    """For the way `coa`."""
    listed_s: int
    """After which an entry of an address list goes by itself, if nobody takes it out: not before the session ends."""
    nas: NasTarget | None
    identity: SessionIdentity
    online: Online
    api: ApiTarget | None
    sent_at: datetime

    @property
    def may_use_api(self) -> bool:
        return self.api is not None and self.way != "disconnect"


@dataclass(slots=True)
class Result:
    """`done`: as far as the router says, and was asked to show. `gone`: the router knows no such session. `refused`: by
    a NAK, or by what its API shows. `silent`: no answer. `unable`: the request can not be made, or the API not be used.
    """

    order: Order
    kind: Kind
    words: str
    """For `why`."""
    packets: list[dict[str, Any]] = field(default_factory=list)
    ignores_rates: bool = False
    api_failed: bool = False
    is_noted: bool = False
    """Whether what it says of the router was taken note of."""


class Exchange:
    """Make it after a fork. `close` abandons what is under way."""

    def __init__(self, on_result: Callable[[Result], None]) -> None:
        self._on_result = on_result
        self._coa = CoaClient(patience=COA_PATIENCE, in_flight_per_nas=32)
        self._api = _Apis()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._thread.start()

    def submit(self, order: Order) -> None:
        asyncio.run_coroutine_threadsafe(self._carry_out(order), self._loop)

    def api(self, router_id: int, target: ApiTarget, conversation: Conversation[T]) -> Future[T]:
        """Another conversation with a router. The future raises RouterError."""
        return asyncio.run_coroutine_threadsafe(self._api.run(router_id, target, conversation), self._loop)

    def close_idle(self) -> None:
        self._loop.call_soon_threadsafe(self._api.close_idle)

    def close(self) -> None:
        self._coa.close()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._api.close()

    async def _carry_out(self, order: Order) -> None:
        result = Result(order, "unable", "")
        try:
            await _STEPS[order.way](self, order, result)
        except NoAnswer as error:
            result.kind, result.words = "silent", str(error)
        except CoaRequestError as error:
            result.kind, result.words = "unable", str(error)
        except RouterError as error:
            result.kind, result.words, result.api_failed = "unable", str(error), not isinstance(error, Refused)
        except Exception as error:  # noqa: BLE001 (one order must not end the others)
            result.kind, result.words = "unable", f"{type(error).__name__}: {error}"
        self._on_result(result)

    async def _adjust(self, order: Order, result: Result) -> None:
        adjust = order.adjust
        assert adjust is not None
        words = []
        if adjust.address_list is not None:
            assert order.api is not None
            move = adjust.address_list
            address = order.online.framed_ip_address
            if address is None:
                result.kind, result.words = "refused", "the session has no address to move between lists"
                return
            moved = await self._ask_api(
                order,
                result,
                f"list {move.leave} -> {move.join}",
                session_api.move(address, move.leave, move.join, order.listed_s),
            )
            if not moved:
                result.kind, result.words = "refused", "the router keeps the address in its old list"
                return
            words.append("address list moved")
        if adjust.coa:
            answer = await self._ask(order, result, "CoA", adjust.coa)
            if isinstance(answer, Nacked):
                _refused(result, answer)
                return
            words.append("CoA-ACK")
        if adjust.unlisted:
            answer = await self._ask(order, result, "CoA", adjust.unlisted)
            if isinstance(answer, Nacked) and answer.session_is_gone:
                _refused(result, answer)
                return
            words.append("limit acknowledged" if isinstance(answer, Acked) else "limit not taken, accounting keeps it")
        result.kind, result.words = "done", ", ".join(words)
        rate_limit = dict(adjust.coa).get("Mikrotik-Rate-Limit")
        if rate_limit is not None and order.api is not None:
            await self._check_rate(order, result, rate_limit)

    async def _check_rate(self, order: Order, result: Result, rate_limit: str) -> None:
        """An ACK is a promise. Where the router can be read, its queue tells."""
        try:
            shown = await self._ask_api(order, result, "queue", session_api.shows_rate(order.online, rate_limit))
        except RouterError as error:
            result.words += f"; its queue could not be read: {error}"
            result.api_failed = not isinstance(error, Refused)
            return
        if shown is None:
            result.words += "; it shows no queue to check"
        elif shown:
            result.words += "; its queue shows the new speed"
        else:
            result.kind, result.words = "refused", "the router said yes and its queue keeps the old speed"
            result.ignores_rates = True

    async def _disconnect(self, order: Order, result: Result) -> None:
        answer = await self._ask(order, result, "Disconnect", ())
        if isinstance(answer, Nacked):
            _refused(result, answer)
        else:
            result.kind, result.words = "done", "Disconnect-ACK"

    async def _end_by_api(self, order: Order, result: Result) -> None:
        if order.api is None:
            result.words = "the router's API is not set up"
            return
        was_there = await self._ask_api(order, result, "remove", session_api.end(order.online))
        result.kind = "done" if was_there else "gone"
        result.words = "ended by the router's API" if was_there else "the router's API shows no such session"

    async def _ask(self, order: Order, result: Result, what: str, pairs: Pairs) -> Acked | Nacked:
        entry: dict[str, Any] = {"at": _now_s(), "sent": f"{what}-Request"}
        if pairs:
            entry["attributes"] = dict(pairs)
        result.packets.append(entry)
        assert order.nas is not None
        try:
            if pairs:
                future = self._coa.coa(order.nas, order.identity, pairs)
            else:
                future = self._coa.disconnect(order.nas, order.identity)
            answer = await asyncio.wrap_future(future)
        except NoAnswer as error:
            entry |= {"answer": None, "tries": error.tries}
            raise
        entry |= {"tries": answer.tries, "ms": round(answer.seconds * 1000)}
        entry["answer"] = f"{what}-ACK" if isinstance(answer, Acked) else f"{what}-NAK {answer.name}"
        return answer

    async def _ask_api(self, order: Order, result: Result, what: str, conversation: Conversation[T]) -> T:
        entry: dict[str, Any] = {"at": _now_s(), "sent": f"API {what}"}
        result.packets.append(entry)
        assert order.api is not None
        try:
            answer = await self._api.run(order.router_id, order.api, conversation)
        except RouterError as error:
            entry["answer"] = str(error)[:200]
            raise
        entry["answer"] = str(answer)
        return answer


_STEPS: dict[str, Callable[[Exchange, Order, Result], Any]] = {
    "coa": Exchange._adjust,
    "disconnect": Exchange._disconnect,
    "api": Exchange._end_by_api,
}


def _refused(result: Result, answer: Nacked) -> None:
    result.kind = "gone" if answer.session_is_gone else "refused"
    result.words = f"the router answered {answer.name}"


def _now_s() -> float:
    return round(time.time(), 3)


@dataclass
class _Api:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    connection: routeros_async.AsyncConnection | None = None
    target: ApiTarget | None = None
    used_at: float = 0.0


class _Apis:
    """A connection to each router that was spoken with lately; one conversation at a time on each."""

    def __init__(self) -> None:
        self._apis: defaultdict[int, _Api] = defaultdict(_Api)

    async def run(self, router_id: int, target: ApiTarget, conversation: Conversation[T]) -> T:
        api = self._apis[router_id]
        async with api.lock:
            if api.connection is not None and api.target != target:
                self._drop(api)
            if api.connection is not None and time.monotonic() - api.used_at > API_FRESH_S:
                await self._see_whether_it_lives(api, api.connection)
            if api.connection is None:
                api.connection = await routeros_async.connect(target, API_PATIENCE)
                api.target = target
            api.used_at = time.monotonic()
            try:
                return await api.connection.run(conversation)
            except Refused:
                raise
            except BaseException:
                self._drop(api)
                raise

    async def _see_whether_it_lives(self, api: _Api, connection: routeros_async.AsyncConnection) -> None:
        """A router that was restarted meanwhile must not cost what is to be said now."""
        try:
            await connection.talk(*sentence("/system/identity/print", proplist=("name",)))
        except RouterError:
            self._drop(api)

    def close_idle(self) -> None:
        for api in self._apis.values():
            if api.connection and not api.lock.locked() and time.monotonic() - api.used_at > API_IDLE_S:
                self._drop(api)

    def close(self) -> None:
        for api in self._apis.values():
            self._drop(api)

    def _drop(self, api: _Api) -> None:
        if api.connection is not None:
            api.connection.close()
            api.connection = None
