"""Open sessions beside what they are entitled to now: what would have to be done to each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db import session_held
from db.account import Facts
from db.radius_session import RadiusSession
from db.session_held import SessionHeld
from db.session_logins import logins_of, names_its_login
from isp.coa import Abilities, Change, Nothing, Standing, change
from isp.entitlement import Accept, OpenSession, Reject
from isp.follow import entitlement, held_since_login, read, wait_for_router, written
from isp.unconfirmed import at_worst

# The log of logins is written in the background, and may come after the session's Start.
LOGGED_WITHIN = timedelta(seconds=5)

AbilitiesOf = Callable[[int], Abilities]
"""By the router's id."""


@dataclass(frozen=True, slots=True)
class Case:
    """A session that is not silent."""

    row: RadiusSession
    desired: Accept | Reject
    standing: Standing
    change: Change
    wait_until: datetime | None
    """Until then its router is about to end it by itself."""


def cases_of(
    session: Session, facts: Iterable[Facts], abilities_of: AbilitiesOf, now: datetime
) -> tuple[list[Case], dict[UUID, SessionHeld]]:
    """The cases of all living sessions, and what is held of those. Of new sessions it is written down what their
    routers were told as they began; one whose login is not on record yet is left for the next look."""
    living = [
        (each, row, own)
        for each in facts
        for row, own in zip(each.sessions, each.account.open_sessions, strict=True)
        if not own.is_ghost(now)
    ]
    verdicts = {
        row.session_key: entitlement(each.account, own, row.service, row.router_id, now) for each, row, own in living
    }
    held = session_held.of_sessions(session, [row.session_key for _, row, _ in living])
    held |= _begin(session, [entry for entry in living if entry[1].session_key not in held], verdicts, now)
    cases = []
    for _, row, _ in living:
        known = held.get(row.session_key)
        if known is not None:
            cases.append(_case(row, known, verdicts[row.session_key], abilities_of(row.router_id), now))
    return cases, held


def _case(
    row: RadiusSession, known: SessionHeld, desired: Accept | Reject, abilities: Abilities, now: datetime
) -> Case:
    told = read(known.held)
    wait_until = wait_for_router(told, known.began_at, desired, now)
    stands = standing(row, known.began_at, now)
    holds = at_worst(told, [read(sent) for sent in known.unconfirmed or ()], desired, stands)
    found = change(holds, desired, stands, row.service, abilities)
    return Case(row, desired, stands, Nothing() if wait_until else found, wait_until)


def standing(row: RadiusSession, began_at: datetime, now: datetime) -> Standing:
    return Standing(max(0, int((now - began_at).total_seconds())), row.input_octets, row.output_octets)


def _begin(
    session: Session,
    new: list[tuple[Facts, RadiusSession, OpenSession]],
    verdicts: Mapping[UUID, Accept | Reject],
    now: datetime,
) -> dict[UUID, SessionHeld]:
    if not new:
        return {}
    logins = logins_of(session, [row for _, row, _ in new])
    values = []
    for facts, row, _ in new:
        login = logins.get(row.session_key)
        if login is None and names_its_login(row) and abs(now - row.started_at) < LOGGED_WITHIN:
            continue
        began_at = login.at if login else row.started_at
        holds = held_since_login(login, facts.account, verdicts[row.session_key], standing(row, began_at, now))
        values.append(
            {
                "session_key": row.session_key,
                "tenant_id": row.tenant_id,
                "router_id": row.router_id,
                "began_at": began_at,
                "held": written(holds),
                "known_from": "login" if login else "rules",
            }
        )
    values.sort(key=lambda value: value["session_key"].int)  # type: ignore[attr-defined]
    # Many rows as parameters, not as text: that would be compiled anew each time.
    if values:
        session.execute(insert(SessionHeld).on_conflict_do_nothing(), values)
    return session_held.of_sessions(session, [row.session_key for _, row, _ in new])
