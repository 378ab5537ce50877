"""Takes addresses out of the routers' lists once the sessions are over that they were put there for, before somebody
else gets them.

Belongs to the follower's thread. What is not known to be taken out is asked for again; and each entry has a time-out
of its own, in case its router is never reached.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from db import session_held
from db.router import Router
from isp.encryption import EncryptionError, Keyring
from tasks import session_api
from tasks.follow_exchange import Exchange
from tasks.follow_routers import RouterStates
from tasks.router_access import target_of
from tasks.routeros_errors import NoAccess

BATCH = 400
AT_ONCE = 20
"""Of one router: what its live sessions need is not to wait long behind it."""
AGAIN = timedelta(seconds=10)
MUCH_LATER = timedelta(minutes=5)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Asked:
    future: Future[None]
    keys: Sequence[UUID]
    until: datetime
    """When they come due again, should this come to nothing."""


class Lists:
    def __init__(self, exchange: Exchange, keyring: Keyring, wake: Callable[[], None]) -> None:
        """`wake` is called, by another thread, whenever something was taken out."""
        self._exchange, self._keyring, self._wake = exchange, keyring, wake
        self._asked: dict[int, _Asked] = {}
        """By router: one conversation with each."""

    def clear(self, session: Session, states: RouterStates, now: datetime) -> None:
        """Writes down what was taken out, and asks for the next."""
        for router_id, asked in list(self._asked.items()):
            if asked.future.done():
                del self._asked[router_id]
                self._note(session, router_id, asked)
        due: defaultdict[int, list[tuple[UUID, str]]] = defaultdict(list)
        taken: list[UUID] = []
        for row in session.execute(session_held.CLEARABLE, {"limit": BATCH}):
            if row.is_taken:
                taken.append(row.session_key)
            else:
                due[row.router_id].append((row.session_key, row.address))
        if taken:
            session_held.is_cleared(session, taken)
        for router_id, entries in due.items():
            self._ask(session, router_id, entries, states, now)

    def _note(self, session: Session, router_id: int, asked: _Asked) -> None:
        problem = asked.future.exception()
        if problem is None:
            session_held.is_cleared(session, asked.keys, asked.until)
        else:
            log.warning("addresses stay in a list", router_id=router_id, addresses=len(asked.keys), why=str(problem))

    def _ask(
        self,
        session: Session,
        router_id: int,
        entries: Sequence[tuple[UUID, str]],
        states: RouterStates,
        now: datetime,
    ) -> None:
        keys, router = [key for key, _ in entries], session.get_one(Router, router_id)
        if router.removed_at is not None:
            session_held.is_cleared(session, keys)
            return
        if router_id in self._asked:
            session_held.put_off_clearing(session, keys, now + AGAIN / 5)
            return
        try:
            target = target_of(router, self._keyring)
        except (NoAccess, EncryptionError):
            session_held.put_off_clearing(session, keys, now + MUCH_LATER)
            return
        if not states[router_id].abilities(now).has_api:
            session_held.put_off_clearing(session, keys, now + AGAIN)
            return
        first, later = entries[:AT_ONCE], keys[AT_ONCE:]
        session_held.put_off_clearing(session, later, now + AGAIN / 5)
        until = now + AGAIN
        session_held.put_off_clearing(session, keys[:AT_ONCE], until)
        future = self._exchange.api(router_id, target, session_api.take_out([address for _, address in first]))
        future.add_done_callback(lambda _future: self._wake())
        self._asked[router_id] = _Asked(future, keys[:AT_ONCE], until)
