"""Who was let in a moment ago and is not in the session table yet: the Start of a session comes after its login.

Without this, two devices that log in at the same moment would both find room for one.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

from isp.entitlement import OpenSession

# A router sends Start within moments of the login; a login that never became a session must not hold its place long.
HELD = timedelta(seconds=10)
MAX_SUBSCRIPTIONS = 50_000
# Routers count a session's time in whole seconds.
ROUNDING = timedelta(seconds=1)

_Logins = dict[str, datetime]


class RecentLogins:
    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[int, _Logins] = OrderedDict()
        """By subscription, the one with the newest login last; by device, when it logged in."""

    def admit(
        self,
        subscription_id: int,
        calling_station_id: str | None,
        counted: Sequence[OpenSession],
        room_left: int,
        now: datetime,
    ) -> bool:
        """Holds a place for a login whose password was right, unless others took what room there was meanwhile.

        `counted` are the sessions that it was decided on, `room_left` how many more devices there may be beside it. A
        login without an address is not held: nobody could tell its session from it.
        """
        with self._lock:
            held = self._held.get(subscription_id)
            if held and len(_came_since(held, calling_station_id, counted, now)) > room_left:
                return False
            if calling_station_id is not None:
                self._hold(subscription_id, calling_station_id, now)
            return True

    def beside(
        self, subscription_id: int, sessions: Sequence[OpenSession], interim_interval_s: int, now: datetime
    ) -> list[OpenSession]:
        """The logins of other devices than those of the living `sessions`, as if they were sessions already."""
        held = self._held.get(subscription_id)
        if not held:
            return []
        online = {session.calling_station_id for session in sessions if not session.is_ghost(now)}
        return [
            OpenSession("", mac, at, at, interim_interval_s)
            for mac, at in _not_over(held, now).items()
            if mac not in online
        ]

    def ended(self, subscription_id: int, calling_station_id: str, began_at: datetime) -> None:
        """The device's session that began then is over, and so is its login; a login since then holds its place."""
        with self._lock:
            held = self._held.get(subscription_id)
            at = held.get(calling_station_id) if held else None
            if held is None or at is None or at > began_at + ROUNDING:
                return
            # A new dictionary: `beside` may be reading the old one.
            left = {mac: at for mac, at in held.items() if mac != calling_station_id}
            if left:
                self._held[subscription_id] = left
            else:
                del self._held[subscription_id]

    def _hold(self, subscription_id: int, calling_station_id: str, now: datetime) -> None:
        held = self._held.pop(subscription_id, None)
        # A new dictionary: `beside` may be reading the old one.
        self._held[subscription_id] = (
            {**_not_over(held, now), calling_station_id: now} if held else {calling_station_id: now}
        )
        self._forget(now)

    def _forget(self, now: datetime) -> None:
        """The oldest, while they are over or too many: a step or two for each login that was added."""
        held = self._held
        while len(held) > MAX_SUBSCRIPTIONS or now - max(next(iter(held.values())).values()) >= HELD:
            held.popitem(last=False)


def _came_since(
    held: _Logins, calling_station_id: str | None, counted: Sequence[OpenSession], now: datetime
) -> list[str]:
    known = {session.calling_station_id for session in counted if not session.is_ghost(now)}
    return [mac for mac in _not_over(held, now) if mac != calling_station_id and mac not in known]


def _not_over(held: _Logins, now: datetime) -> _Logins:
    return {mac: at for mac, at in held.items() if now - at < HELD}
