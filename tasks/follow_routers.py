"""What this process knows of routers: whether they answer, how much is under way, what they can do. Gone with it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.router import Router
from db.router_state import RouterState
from isp.coa import Abilities

AT_ONCE = 32
"""Sessions of one router that are being changed at the same time; what is more waits."""
SOON, PACE = timedelta(seconds=0.2), timedelta(seconds=1 / 150)
LONGEST_PAUSE_S = 60
API_PAUSE = timedelta(seconds=60)
STAYS_UNABLE = timedelta(hours=6)
TELL_AFTER = timedelta(seconds=30)


@dataclass(slots=True)
class Known:
    under_way: int = 0
    free_at: datetime | None = None
    """When the last of those that wait for a place is to try again."""
    has_api: bool = False
    silent_since: datetime | None = None
    """When the first of the requests went out that it has not answered since."""
    ask_at: datetime | None = None
    failures: int = 0
    api_away_until: datetime | None = None
    ignores_rates_until: datetime | None = None
    is_told: bool = False
    """Whether its silence was made an event."""

    def turn(self, now: datetime) -> datetime | None:
        """None if one more session may be changed now; else when to try again."""
        if self.ask_at is not None:
            # One asks whether it is there again; the others need not wait for an answer that does not come.
            if now < self.ask_at:
                return self.ask_at + timedelta(seconds=random.uniform(0, 2))  # noqa: S311
            return None if self.under_way == 0 else now + timedelta(seconds=2)
        if self.under_way < AT_ONCE:
            return None
        # One after another, so that those that wait are not all looked at again and again.
        self.free_at = max(self.free_at or now, now + SOON) + PACE
        return self.free_at

    def answered(self) -> bool:
        """Whether it had been silent."""
        was_silent, self.silent_since, self.ask_at, self.failures = self.ask_at is not None, None, None, 0
        return was_silent

    def was_silent(self, sent_at: datetime, now: datetime) -> None:
        self.silent_since = self.silent_since or sent_at
        if self.ask_at is None or now >= self.ask_at:
            self.failures += 1
            self.ask_at = now + timedelta(seconds=min(LONGEST_PAUSE_S, 2**self.failures))

    def abilities(self, now: datetime) -> Abilities:
        return Abilities(
            has_api=self.has_api and not (self.api_away_until and now < self.api_away_until),
            applies_rate_limit=not (self.ignores_rates_until and now < self.ignores_rates_until),
        )


class RouterStates:
    """Of all routers, by id."""

    def __init__(self) -> None:
        self._states: dict[int, Known] = {}

    def refresh(self, session: Session) -> None:
        """Learns which routers have an API that we may use: it was reached before."""
        usable = (Router.api_password_sealed.is_not(None) & RouterState.last_seen_at.is_not(None)).label("usable")
        statement = select(Router.id, usable).join(RouterState, RouterState.router_id == Router.id)
        for row in session.execute(statement.where(Router.removed_at.is_(None))):
            self[row.id].has_api = row.usable

    def __getitem__(self, router_id: int) -> Known:
        return self._states.setdefault(router_id, Known())

    def places(self) -> dict[int, int]:
        """How much is under way at each router, for `restore` after a transaction that was undone."""
        return {router_id: state.under_way for router_id, state in self._states.items()}

    def restore(self, places: Mapping[int, int]) -> None:
        for router_id, state in self._states.items():
            state.under_way = places.get(router_id, 0)

    def items(self) -> list[tuple[int, Known]]:
        return list(self._states.items())
