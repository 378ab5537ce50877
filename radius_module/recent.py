"""Who was let in a moment ago and is not in the session table yet: the Start of a session comes after its login.

Without this, two devices that log in at the same moment would both find room for one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from isp.entitlement import OpenSession

# A router sends Start within moments of the login; a login that never became a session must not hold its place long.
HELD_S = 10
MAX_SUBSCRIPTIONS = 50_000


class RecentLogins:
    def __init__(self) -> None:
        self._held: dict[int, list[tuple[str | None, datetime]]] = {}

    def add(self, subscription_id: int, calling_station_id: str | None, now: datetime) -> None:
        if len(self._held) >= MAX_SUBSCRIPTIONS:
            self._held = {key: held for key, held in self._held.items() if now < _end(held[-1][1])}
        self._held.setdefault(subscription_id, []).append((calling_station_id, now))

    def beside(
        self, subscription_id: int, sessions: Sequence[OpenSession], interim_interval_s: int, now: datetime
    ) -> list[OpenSession]:
        """The logins of other devices than those of `sessions`, as if they were sessions already."""
        held = self._held.get(subscription_id)
        if not held:
            return []
        alive = [(mac, at) for mac, at in held if now < _end(at)]
        if not alive:
            self._held.pop(subscription_id, None)
            return []
        seen = {session.calling_station_id for session in sessions}
        newest = {mac: at for mac, at in alive if mac is not None and mac not in seen}
        return [OpenSession("", mac, at, at, interim_interval_s) for mac, at in newest.items()]


def _end(at: datetime) -> datetime:
    return at + timedelta(seconds=HELD_S)
