"""Writes down what came of orders, and what follows: done, another way, another try, or given up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from db import event, session_held, session_intent
from db.radius_session import RadiusSession
from db.router import Router
from db.session_held import SessionHeld
from db.session_intent import KICK, SessionIntent
from isp.coa import Adjust, Standing
from isp.entitlement import Accept
from isp.follow import read, written
from isp.unconfirmed import at_worst
from tasks.follow_exchange import Result
from tasks.follow_orders import GIVE_UP_AFTER, TRY_AGAIN_AFTER, finish, give_up
from tasks.follow_routers import API_PAUSE, STAYS_UNABLE, TELL_AFTER, RouterStates

# The Stop of a session that was ended comes so soon, unless it is lost and sent again.
STOP_WITHIN = timedelta(seconds=4)
MOST_ATTEMPTS = 8
_PACKETS_KEPT = 40


def note(results: Sequence[Result], states: RouterStates, now: datetime) -> list[int]:
    """What the results say of routers; the ids of those that answer again."""
    back = []
    for result in results:
        state = states[result.order.router_id]
        state.under_way -= 1
        if result.kind == "silent":
            state.was_silent(result.order.sent_at, now)
        elif any(packet.get("answer") for packet in result.packets if "tries" in packet) and state.answered():
            back.append(result.order.router_id)
        if result.api_failed:
            state.api_away_until = now + API_PAUSE
        if result.ignores_rates:
            state.ignores_rates_until = now + STAYS_UNABLE
    return back


def record(session: Session, results: Sequence[Result], states: RouterStates, now: datetime) -> None:
    """Of intents that somebody else has claimed meanwhile nothing is changed: their session was changed by both."""
    intents = session_intent.by_ids(session, [result.order.intent_id for result in results])
    ours = [
        (intents[result.order.intent_id], result)
        for result in results
        if (intent := intents.get(result.order.intent_id)) is not None
        and intent.state == "sent"
        and intent.attempts == result.order.attempt
    ]
    held = session_held.of_sessions(session, [intent.session_key for intent, _ in ours], lock=True)
    for intent, result in ours:
        intent.packets = [*intent.packets, *result.packets][-_PACKETS_KEPT:]
        intent.outcome = result.words
        _follow_up(session, intent, result, held.get(intent.session_key), states, now)
    session.flush()


def call_back(session: Session, router_ids: Sequence[int], now: datetime) -> None:
    """Has what waits for routers that answer again done now."""
    waiting = SessionIntent.finished_at.is_(None) & (SessionIntent.state == "waiting")
    statement = update(SessionIntent).where(waiting, SessionIntent.router_id.in_(router_ids)).values(due_at=now)
    session.execute(statement.execution_options(synchronize_session=False))


def tell_of_silence(session: Session, states: RouterStates, now: datetime) -> None:
    """An event when a router has been silent for a while, and one when it is back."""
    from_rows = {}
    for router_id, state in states.items():
        is_silent = state.silent_since is not None and now - state.silent_since > TELL_AFTER
        if is_silent is not state.is_told and (is_silent or state.silent_since is None):
            from_rows[router_id] = is_silent
    for router_id, is_silent in from_rows.items():
        router = session.get(Router, router_id)
        if router is not None:
            kind = "router.coa_silent" if is_silent else "router.coa_back"
            data = {"router_id": router_id, "name": router.name, "coa_port": router.coa_port}
            event.record(session, kind, data, router.tenant_id, router_id=router_id)
        states[router_id].is_told = is_silent


def _follow_up(
    session: Session,
    intent: SessionIntent,
    result: Result,
    held: SessionHeld | None,
    states: RouterStates,
    now: datetime,
) -> None:
    order = result.order
    if held is not None and order.adjust is not None and _did_nothing(result):
        session_held.is_refused(held, written(order.adjust.applied))
    match result.kind:
        case "done" if order.adjust is not None:
            if held is not None:
                _hold(held, order.adjust)
            # Whether something came meanwhile is seen by looking once more; else it is over.
            if intent.version != order.version:
                _again(intent, now)
            else:
                finish(intent, "done", result.words, now)
        case "done":
            intent.state, intent.due_at = "verifying", now + STOP_WITHIN
        case "gone":
            _close(session, intent, order.sent_at)
            if held is not None:
                session_held.put_off(session, held, now + TRY_AGAIN_AFTER)
            finish(intent, "done", result.words, now)
        case "silent":
            if intent.attempts >= 3 and order.way == "disconnect" and states[order.router_id].abilities(now).has_api:
                _by(intent, "api", now)
            elif now - intent.created_at > GIVE_UP_AFTER:
                give_up(session, intent, result.words, now)
            else:
                intent.state = "waiting"
                intent.due_at = states[order.router_id].ask_at or now + timedelta(seconds=2)
        case "refused" | "unable":
            _another_way(session, intent, result, held, states, now)


def _another_way(
    session: Session,
    intent: SessionIntent,
    result: Result,
    held: SessionHeld | None,
    states: RouterStates,
    now: datetime,
) -> None:
    order = result.order
    if intent.attempts >= MOST_ATTEMPTS:
        give_up(session, intent, result.words, now)
    elif order.way == "coa":
        if held is not None and order.adjust is not None and not _is_worth_a_disconnect(held, order.adjust.applied):
            # What it has now ends sooner or allows less, and then its next login gets the rest.
            give_up(session, intent, result.words, now)
        else:
            _by(intent, "disconnect", now)
    elif order.way == "disconnect" and states[order.router_id].abilities(now).has_api:
        _by(intent, "api", now)
    elif order.way == "api" and result.api_failed and intent.attempts < MOST_ATTEMPTS:
        _by(intent, "disconnect", now + timedelta(seconds=5))
    else:
        give_up(session, intent, result.words, now)


def _is_worth_a_disconnect(held: SessionHeld, wanted: Accept) -> bool:
    unconfirmed = [read(sent) for sent in held.unconfirmed or ()]
    return is_worth_a_disconnect(at_worst(read(held.held), unconfirmed, wanted, Standing()), wanted)


def is_worth_a_disconnect(holds: Accept, wanted: Accept) -> bool:
    """Whether a session that can not be changed has to end: its speed or list is another than it should, or it gets
    too much."""
    if (holds.rate_limit, holds.address_list) != (wanted.rate_limit, wanted.address_list):
        return True
    names = ("session_timeout_s", "total_limit_octets", "input_limit_octets", "output_limit_octets")
    pairs = [(getattr(holds, name), getattr(wanted, name)) for name in names]
    return any(less is not None and (held is None or less < held) for held, less in pairs)


def _did_nothing(result: Result) -> bool:
    """Whether the session is for certain as it was: by a NAK, or because the request could not be made."""
    adjust = result.order.adjust
    has_refused = result.kind in ("refused", "unable") and not result.ignores_rates
    return has_refused and adjust is not None and adjust.address_list is None


def _hold(held: SessionHeld, adjust: Adjust) -> None:
    held.held, held.known_from = written(adjust.applied), "follow"
    held.not_before = held.unconfirmed = None
    if adjust.address_list is not None and adjust.address_list.join is None:
        held.listed = held.listed_address = held.clear_at = None


def _by(intent: SessionIntent, way: str, due_at: datetime) -> None:
    intent.way, intent.state, intent.due_at = way, "waiting", due_at


def _again(intent: SessionIntent, now: datetime) -> None:
    intent.state, intent.due_at = "waiting", now


def _close(session: Session, intent: SessionIntent, sent_at: datetime) -> None:
    """Its router knows nothing of it: so it is over, unless a report says otherwise."""
    statement = (
        update(RadiusSession)
        .where(RadiusSession.session_key == intent.session_key, RadiusSession.stopped_at.is_(None))
        .where(RadiusSession.last_seen_at < sent_at)
        .values(
            stopped_at=RadiusSession.last_seen_at,
            terminate_cause="Admin-Reset" if intent.cause == KICK else "Lost-Service",
        )
    )
    session.execute(statement.execution_options(synchronize_session=False))
