"""A fake NAS: behaves as RouterOS does, with real RADIUS packets both ways, and keeps the truth of who is online.

It logs subscribers in at a real server, sends Start, Interim-Update and Stop with the Class it was given, obeys CoA and
Disconnect on a port of its own, ends sessions by their own time-outs and limits, and can be rebooted, dead, lossy or
slow (`behaviour`). One event loop bears thousands of sessions: see tests/fakes/nas_fleet.py.
"""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import pyrad.packet

from cli.nas import NoAnswer
from tests.fakes.nas_coa import CoaServer, Heard
from tests.fakes.nas_packets import access_request, accounting_request
from tests.fakes.nas_session import OnlineSession, SimulatedClock, Subscriber
from tests.fakes.nas_wire import Behaviour, RadiusSide, Sender, Wire

_SERVICE_DIGITS = {"hotspot": 0x80, "pppoe": 0x81}
_BOOTS = 16
_SESSIONS_PER_BOOT = 1 << 20
_INTERIM_INTERVAL_S = 300


class Refused(Exception):
    """An Access-Reject; the text is its Reply-Message."""


@dataclass(frozen=True)
class RadiusServer:
    address: str
    auth_port: int
    acct_port: int


class FakeNas:
    """One router. Everything is to be called in the event loop that `start` ran in."""

    def __init__(
        self,
        server: RadiusServer,
        secret: str,
        *,
        address: str = "127.0.0.1",
        behaviour: Behaviour | None = None,
        clock: SimulatedClock | None = None,
        timeout_s: float = 3.0,
        tries: int = 3,
        seed: int = 0,
    ) -> None:
        """`address` is where its packets come from and go to; `timeout_s` and `tries` are of its RADIUS client."""
        self.server, self.address = server, address
        self.behaviour = behaviour or Behaviour()
        self.clock = clock or SimulatedClock()
        self.online: dict[str, OnlineSession] = {}
        """By Acct-Session-Id."""
        self.address_lists: dict[str, set[str]] = {}
        """Entries that the API made: addresses by list."""
        self.unanswered: list[tuple[str, str]] = []
        """Acct-Status-Type and Acct-Session-Id of records that the server never confirmed."""
        chance = random.Random(seed)
        options = (secret, self.behaviour, chance, timeout_s, tries)
        self._auth = RadiusSide((server.address, server.auth_port), *options)
        self._acct = RadiusSide((server.address, server.acct_port), *options)
        self._coa = CoaServer(secret, self.behaviour, self.online, self._disconnected, self._arm)
        self._incoming = Wire(self.behaviour, chance, self._hear)
        self._boots = self._sessions = 0
        self._leases: dict[str, str] = {}
        self._first_lease = IPv4Address("10.64.0.1") + seed * 4096
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._interims: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dialling: set[Subscriber] = set()

    async def start(self) -> None:
        await self._auth.open(self.address)
        await self._acct.open(self.address)
        await self._incoming.open(self.address)

    async def stop(self) -> None:
        """Without a word to the server."""
        await self._forget()
        for side in (self._auth, self._acct, self._incoming):
            side.close()

    @property
    def coa_port(self) -> int:
        return self._incoming.port

    @property
    def heard(self) -> list[Heard]:
        """Every CoA-Request and Disconnect-Request that it acted on."""
        return self._coa.heard

    @property
    def refused(self) -> int:
        return self._coa.refused

    @property
    def repeated(self) -> int:
        return self._coa.repeated

    def change_secret(self, secret: str) -> None:
        for part in (self._auth, self._acct, self._coa):
            part.secret = secret

    def lists_of(self, session: OnlineSession) -> frozenset[str]:
        """The address lists that the session's address is in."""
        own = session.attributes.get("Mikrotik-Address-List")
        listed = {name for name, addresses in self.address_lists.items() if session.framed_ip_address in addresses}
        return frozenset(listed | ({own} if own else set()))

    async def log_in(self, subscriber: Subscriber) -> OnlineSession:
        """Raises Refused and NoAnswer. The Start is on its way when this returns."""
        session = self._new_session(subscriber)
        reply = await self._auth.ask(access_request(session, self._auth.secret, self.address))
        attributes = {name: reply[name][0] for name in reply.keys() if isinstance(name, str)}  # noqa: SIM118
        if reply.code != pyrad.packet.AccessAccept:
            raise Refused(attributes.get("Reply-Message", ""))
        self._admit(session, attributes)
        return session

    def admit(self, subscriber: Subscriber, attributes: dict[str, Any]) -> OnlineSession:
        """As if the server had accepted it with these."""
        session = self._new_session(subscriber)
        self._admit(session, attributes)
        return session

    def _admit(self, session: OnlineSession, attributes: dict[str, Any]) -> None:
        session.attributes = attributes
        session.framed_ip_address = attributes.get("Framed-IP-Address", session.framed_ip_address)
        session.started_at = session.used_at = self.clock.now_s()
        self.online[session.acct_session_id] = session
        self._arm(session)
        self._spawn(self._account(session, "Start"))
        self._interims[session.acct_session_id] = self._spawn(self._report_now_and_then(session))

    async def log_out(self, session: OnlineSession, cause: str | int = "User-Request") -> None:
        """Sends the Stop and waits for its answer; one that is offline stays so."""
        if self._end(session, cause):
            await self._account(session, "Stop")

    def use(self, session: OnlineSession, input_octets: int = 0, output_octets: int = 0) -> None:
        """Traffic; what reaches a limit is logged out by that."""
        session.input_octets += input_octets
        session.output_octets += output_octets
        session.used_at = self.clock.now_s()
        self._arm(session)

    async def report(self, session: OnlineSession) -> None:
        """An Interim-Update at once."""
        await self._account(session, "Interim-Update")

    async def reboot(self, boots: int = 1) -> list[Subscriber]:
        """Nobody is online any more, and nobody says so; returns who was. After 16 `boots` ids come again."""
        were_online = [session.subscriber for session in self.online.values()]
        dialling = {*were_online, *self._dialling}
        await self._forget()
        self._boots, self._sessions = self._boots + boots, 0
        for subscriber in dialling:
            self._redial(subscriber)
        return were_online

    def _hear(self, datagram: bytes, sender: Sender) -> None:
        # It listens to its RADIUS server alone, whose secret it is.
        reply = self._coa.answer(datagram, sender) if sender[0] == self.server.address else None
        if reply:
            self._incoming.send(reply, sender)

    def _new_session(self, subscriber: Subscriber) -> OnlineSession:
        """Numbered as RouterOS does: two digits of service, one of boots, five of sessions."""
        self._sessions = (self._sessions + 1) % _SESSIONS_PER_BOOT
        port = _SERVICE_DIGITS[subscriber.service] << 24 | (self._boots % _BOOTS) << 20 | self._sessions
        lease = self._leases.setdefault(subscriber.mac, str(self._first_lease + len(self._leases)))
        now_s = self.clock.now_s()
        return OnlineSession(subscriber, port, lease, {}, self.clock, now_s, now_s)

    async def _account(self, session: OnlineSession, status: str) -> None:
        try:
            await self._acct.ask(accounting_request(session, status, self._acct.secret, self.address))
        except NoAnswer:
            self.unanswered.append((status, session.acct_session_id))

    async def _report_now_and_then(self, session: OnlineSession) -> None:
        while True:
            interval_s = session.attributes.get("Acct-Interim-Interval", _INTERIM_INTERVAL_S)
            await asyncio.sleep(interval_s / self.clock.speed)
            await self._account(session, "Interim-Update")

    def _disconnected(self, session: OnlineSession) -> None:
        self._cut_off(session, "Admin-Reset")

    def _cut_off(self, session: OnlineSession, cause: str | int) -> None:
        if self._end(session, cause):
            self._spawn(self._account(session, "Stop"))
            self._redial(session.subscriber)

    def _end(self, session: OnlineSession, cause: str | int) -> bool:
        """False if it is offline already."""
        if self.online.get(session.acct_session_id) is not session:
            return False
        del self.online[session.acct_session_id]
        session.terminate_cause = cause
        self._interims.pop(session.acct_session_id).cancel()
        timer = self._timers.pop(session.acct_session_id, None)
        if timer:
            timer.cancel()
        return True

    def _arm(self, session: OnlineSession) -> None:
        """Ends the session if it has reached a limit, or sees to it that it will."""
        if self.online.get(session.acct_session_id) is not session:
            return
        timer = self._timers.pop(session.acct_session_id, None)
        if timer:
            timer.cancel()
        cause = session.over_by()
        if cause is not None:
            self._cut_off(session, cause)
            return
        ends_at = session.ends_at()
        if ends_at is not None:
            wait_s = max(0.0, ends_at - self.clock.now_s()) / self.clock.speed
            self._timers[session.acct_session_id] = asyncio.get_running_loop().call_later(wait_s, self._arm, session)

    def _redial(self, subscriber: Subscriber) -> None:
        if subscriber.redials_after_s is not None:
            self._dialling.add(subscriber)
            self._spawn(self._dial(subscriber, subscriber.redials_after_s))

    async def _dial(self, subscriber: Subscriber, after_s: float) -> None:
        while subscriber in self._dialling:
            await asyncio.sleep(after_s / self.clock.speed)
            try:
                await self.log_in(subscriber)
            except (Refused, NoAnswer):
                continue
            self._dialling.discard(subscriber)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _forget(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for state in (self._timers, self._interims, self.online, self._dialling):
            state.clear()
