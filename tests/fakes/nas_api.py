"""A fake router's API beside a fake NAS: both show the same sessions, queues and address lists, and obey both ways."""

import asyncio
from typing import Any

from tests.fakes.nas import FakeNas
from tests.fakes.nas_session import OnlineSession, Subscriber
from tests.fakes.routeros import RunningRouter
from tests.fakes.routeros_commands import Result

LISTS, QUEUES = "/ip/firewall/address-list", "/queue/simple"
_ACTIVE = {"hotspot": "/ip/hotspot/active", "pppoe": "/ppp/active"}
_UNITS = {"k": 1_000, "M": 1_000_000}


class NasWithApi(FakeNas):
    """Its API is `router`'s, which has to be started as well."""

    def __init__(self, *positional: Any, router: RunningRouter, **options: Any) -> None:
        super().__init__(*positional, **options)
        self.router = router
        self._loop: asyncio.AbstractEventLoop | None = None
        tables = router.machine.tables
        told = tables.changed

        def changed(path: str) -> None:
            told(path)
            if self._loop is not None and path in (LISTS, *_ACTIVE.values()):
                self._loop.call_soon_threadsafe(self._changed_by_api, path)

        tables.changed = changed
        own = router.machine.menus.own

        def log_in(path: str, command: str, arguments: dict[str, str]) -> Result | None:
            hosts = tables.find("/ip/hotspot/host", address=arguments.get("ip", ""))
            if (path, command) != ("/ip/hotspot/active", "login") or not hosts or self._loop is None:
                return own(path, command, arguments)
            hosts[0]["authorized"] = "true"
            device = Subscriber(arguments["user"], arguments["password"], hosts[0]["mac-address"], "hotspot")
            asyncio.run_coroutine_threadsafe(self.log_in(device), self._loop)
            return Result()

        router.machine.menus.own = log_in

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        await super().start()

    def _admit(self, session: OnlineSession, attributes: dict[str, Any]) -> None:
        super()._admit(session, attributes)
        tables, subscriber = self.router.machine.tables, session.subscriber
        names = {"hotspot": {"user": subscriber.user_name, "mac_address": subscriber.mac}}.get(
            subscriber.service, {"name": subscriber.user_name, "caller_id": subscriber.mac}
        )
        tables.put(_ACTIVE[subscriber.service], address=session.framed_ip_address, radius="true", **names)
        tables.put(QUEUES, name=_queue(session), target=_queue(session), dynamic="true")
        if own := session.attributes.get("Mikrotik-Address-List"):
            tables.put(LISTS, list=own, address=session.framed_ip_address, dynamic="true")
        self._show_speed(session)

    def _arm(self, session: OnlineSession) -> None:
        super()._arm(session)
        self._show_speed(session)

    def _show_speed(self, session: OnlineSession) -> None:
        for queue in self.router.machine.tables.find(QUEUES, name=_queue(session)):
            pair = (session.rate_limit or "0/0").split(" ")[0].split("/")
            queue["max-limit"] = "/".join(str(_bits_per_s(one)) for one in pair)

    def _end(self, session: OnlineSession, cause: str | int) -> bool:
        was_online = super()._end(session, cause)
        if was_online:
            tables, address = self.router.machine.tables, session.framed_ip_address
            for path in (_ACTIVE[session.subscriber.service], LISTS):
                for item in tables.find(path, address=address):
                    if path != LISTS or item.get("dynamic") == "true":
                        tables.remove(path, item)
            for item in tables.find(QUEUES, name=_queue(session)):
                tables.remove(QUEUES, item)
        return was_online

    def _changed_by_api(self, path: str) -> None:
        tables = self.router.machine.tables
        if path == LISTS:
            made: dict[str, set[str]] = {}
            for item in tables.find(LISTS):
                if item.get("dynamic") != "true":
                    made.setdefault(item["list"], set()).add(item["address"])
            self.address_lists = made
            for session in self.online.values():
                own = session.attributes.get("Mikrotik-Address-List")
                if own and not tables.find(LISTS, list=own, address=session.framed_ip_address, dynamic="true"):
                    del session.attributes["Mikrotik-Address-List"]
            return
        for session in list(self.online.values()):
            if not tables.find(_ACTIVE[session.subscriber.service], address=session.framed_ip_address):
                self._disconnected(session)


def _queue(session: OnlineSession) -> str:
    return f"<{session.subscriber.service}-{session.subscriber.user_name}>"


def _bits_per_s(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)
