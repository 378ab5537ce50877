"""Makes orders of the intents that are due: claimed, and by what each session is entitled to at this moment."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import account, event, session_held, session_intent
from db import router as routers
from db.radius_session import RadiusSession
from db.router import Router
from db.session_held import SessionHeld
from db.session_intent import KICK, SessionIntent
from isp.coa import Adjust, Disconnect, Nothing
from isp.encryption import EncryptionError, Keyring
from isp.follow import written
from isp.reply import MAX_SESSION_TIMEOUT_S
from settings import Secret
from tasks.coa_packet import CoaRequestError, SessionIdentity
from tasks.coa_packet import Target as NasTarget
from tasks.follow_cases import Case, cases_of
from tasks.follow_exchange import Order
from tasks.follow_routers import RouterStates
from tasks.router_access import target_of
from tasks.routeros_errors import NoAccess
from tasks.routeros_target import Target as ApiTarget
from tasks.session_api import Online

# After that whoever claimed an intent is taken for dead. An order takes less: see follow_exchange.
LEASE = timedelta(seconds=15)
LEASE_WITH_API = timedelta(seconds=40)
# So often a router may say yes to a Disconnect, and the session go on.
YES_AND_NO = 3
# A router that is silent for so long: its sessions get what they are entitled to when they are looked at again.
GIVE_UP_AFTER = timedelta(minutes=15)
TRY_AGAIN_AFTER = timedelta(minutes=10)
_KICK_GOES_FIRST = timedelta(seconds=2)


def take_orders(
    session: Session, states: RouterStates, keyring: Keyring, now: datetime, limit: int
) -> tuple[list[Order], int]:
    """The orders to be carried out once this is committed, and how many intents were looked at."""
    intents = session_intent.due(session, limit)
    if not intents:
        return [], 0
    keys = [intent.session_key for intent in intents]
    known_rows = _rows(session, keys)
    rows = {key: row for key, row in known_rows.items() if row.stopped_at is None}
    kicked = session_intent.kicked(session, keys)
    ready = [intent for intent in intents if _is_ready(session, intent, known_rows, kicked, states, now)]
    cases = _cases(session, ready, rows, states, now)
    held = session_held.of_sessions(session, keys)
    found = _routers(session, ready)
    orders = []
    for intent in ready:
        case = cases.get(intent.session_key)
        order: Order | str | None = None
        if intent.cause == KICK or (case is not None and not isinstance(case.change, Nothing)):
            row, router = rows[intent.session_key], found.get(intent.router_id)
            known = held.get(intent.session_key)
            elapsed_s = int((now - (known.began_at if known else row.started_at)).total_seconds())
            order = _order(intent, row, case, router, states, keyring, elapsed_s, now)
        else:
            _settle(intent, case, now)
        if isinstance(order, Order):
            intent.state, intent.attempts = "sent", order.attempt
            intent.due_at = now + (LEASE_WITH_API if order.may_use_api else LEASE)
            _is_sent(held.get(intent.session_key), order, now)
            orders.append(order)
            continue
        states[intent.router_id].under_way -= 1
        if order is not None:
            give_up(session, intent, order, now)
    session.flush()
    return orders, len(intents)


def _is_ready(
    session: Session,
    intent: SessionIntent,
    rows: Mapping[UUID, RadiusSession],
    kicked: Container[UUID],
    states: RouterStates,
    now: datetime,
) -> bool:
    """Whether it is to be carried out now, if it has to be at all; its router has a place kept for it then."""
    state = states[intent.router_id]
    row = rows.get(intent.session_key)
    if row is None or row.stopped_at is not None:
        finish(intent, "done", _end_of(row), now)
        return False
    if intent.cause != KICK and intent.session_key in kicked:
        intent.due_at = now + _KICK_GOES_FIRST
        return False
    turn = state.turn(now)
    if turn is not None:
        _wait(session, intent, states, turn, now)
        return False
    state.under_way += 1
    return True


def finish(intent: SessionIntent, state: str, outcome: str, now: datetime) -> None:
    intent.state, intent.outcome, intent.due_at, intent.finished_at = state, outcome, None, now


def give_up(session: Session, intent: SessionIntent, outcome: str, now: datetime) -> None:
    """Visibly: an event tells it, and for a while nothing is tried again by itself."""
    finish(intent, "failed", outcome, now)
    held = session_held.of_sessions(session, [intent.session_key], lock=True).get(intent.session_key)
    if held is not None:
        session_held.put_off(session, held, now + TRY_AGAIN_AFTER)
    data = {
        "session_key": str(intent.session_key),
        "intent_id": intent.id,
        "cause": intent.cause,
        "action": intent.action,
        "reason": intent.reason,
        "attempts": intent.attempts,
        "outcome": outcome,
    }
    event.record(
        session,
        "session.not_followed",
        data,
        intent.tenant_id,
        subscription_id=intent.subscription_id,
        router_id=intent.router_id,
    )


def _rows(session: Session, keys: Sequence[UUID]) -> dict[UUID, RadiusSession]:
    """Of sessions that are open or ended lately."""
    statement = select(RadiusSession).where(RadiusSession.session_key.in_(keys))
    found = session.scalars(statement.execution_options(populate_existing=True))
    return {row.session_key: row for row in found}


def _cases(
    session: Session,
    intents: Iterable[SessionIntent],
    rows: Mapping[UUID, RadiusSession],
    states: RouterStates,
    now: datetime,
) -> dict[UUID, Case]:
    wanted = {
        row.subscription_id
        for intent in intents
        if intent.cause != KICK and (row := rows.get(intent.session_key)) and row.subscription_id is not None
    }
    facts = account.facts_of(session, sorted(wanted), now)
    cases, _ = cases_of(session, facts.values(), lambda router_id: states[router_id].abilities(now), now)
    return {case.row.session_key: case for case in cases}


def _routers(session: Session, intents: Iterable[SessionIntent]) -> dict[int, Router]:
    wanted = {intent.router_id for intent in intents}
    statement = select(Router).where(Router.id.in_(wanted)).execution_options(populate_existing=True)
    return {router.id: router for router in session.scalars(statement)}


def _settle(intent: SessionIntent, case: Case | None, now: datetime) -> None:
    """Nothing is left to do."""
    if case is None:
        finish(intent, "superseded", "the session is silent", now)
    elif case.wait_until is not None:
        finish(intent, "superseded", "its router ends it by itself", now)
    elif intent.attempts:
        finish(intent, "done", intent.outcome or "the session has what it is entitled to", now)
    else:
        finish(intent, "superseded", "the session has what it is entitled to", now)


def _wait(session: Session, intent: SessionIntent, states: RouterStates, turn: datetime, now: datetime) -> None:
    state = states[intent.router_id]
    intent.state, intent.due_at = "waiting", turn
    if state.ask_at is None or state.silent_since is None:
        return
    intent.outcome = "the router does not answer; it is asked now and then whether it is there again"
    if now - max(state.silent_since, intent.created_at) > GIVE_UP_AFTER:
        give_up(session, intent, "the router did not answer for a quarter of an hour", now)


def _order(
    intent: SessionIntent,
    row: RadiusSession,
    case: Case | None,
    router: Router | None,
    states: RouterStates,
    keyring: Keyring,
    elapsed_s: int,
    now: datetime,
) -> Order | str:
    """What stands in the way, if something does that will not change by itself."""
    if router is None or router.removed_at is not None:
        return "its router was removed"
    address = None if row.framed_ip_address is None else str(row.framed_ip_address).partition("/")[0]
    adjust = case.change if case and intent.way == "coa" and isinstance(case.change, Adjust) else None
    way = "coa" if adjust else "disconnect" if intent.way == "coa" else intent.way
    if case and isinstance(case.change, Disconnect) and intent.way == "coa":
        intent.action, intent.way, intent.reason = "disconnect", "disconnect", case.change.cause.value
    if intent.state == "verifying" and intent.attempts >= YES_AND_NO:
        # It said that the session is over, again and again, and the session goes on.
        if way == "api" or not states[router.id].abilities(now).has_api:
            return f"the router said yes {intent.attempts} times and the session goes on"
        way = intent.way = "api"
    try:
        secret = routers.radius_secret(router, keyring)
        nas = NasTarget(str(router.nas_address).partition("/")[0], Secret(secret), router.coa_port)
        api = _api(router, states, keyring, now)
    except (CoaRequestError, EncryptionError) as error:
        return str(error)
    timeout_s = adjust.applied.session_timeout_s if adjust else None
    return Order(
        intent_id=intent.id,
        version=intent.version,
        attempt=intent.attempts + 1,
        router_id=router.id,
        way=way,
        adjust=adjust,
        listed_s=max(60, (timeout_s or MAX_SESSION_TIMEOUT_S) - elapsed_s + 60),
        nas=nas,
        identity=SessionIdentity(
            row.service, row.username, row.acct_session_id, address, row.calling_station_id, row.nas_port_id
        ),
        online=Online(row.service, row.username, row.calling_station_id, address),
        api=api,
        sent_at=now,
    )


def _is_sent(held: SessionHeld | None, order: Order, now: datetime) -> None:
    """Written down before it is, since nobody may live to write what came of it."""
    if held is None or order.adjust is None:
        return
    session_held.is_sent(held, written(order.adjust.applied))
    move, address = order.adjust.address_list, order.online.framed_ip_address
    if move is not None and move.join is not None and address is not None:
        held.listed, held.listed_address, held.clear_at = move.join, address, now


def _api(router: Router, states: RouterStates, keyring: Keyring, now: datetime) -> ApiTarget | None:
    if not states[router.id].abilities(now).has_api:
        return None
    try:
        return target_of(router, keyring)
    except NoAccess:
        return None


def _end_of(row: RadiusSession | None) -> str:
    if row is None:
        return "the session is over"
    told = "" if row.stop_received else ", which the router did not tell"
    return f"the session ended: {row.terminate_cause or 'no cause given'}{told}"
