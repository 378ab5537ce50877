"""What a look writes: of new sessions what their routers hold, the next look, and what is to be done."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from db import follow
from db.engine import make_engine, session_factory
from db.follow import Follow, FollowPlan
from db.radius_session import RadiusSession
from db.session_held import SessionHeld
from db.session_intent import SessionIntent
from isp.coa import Abilities
from isp.encryption import Keyring
from settings import Settings
from tasks.follow_look import look
from tasks.follow_orders import take_orders
from tasks.follow_routers import RouterStates

_FILL = (
    "INSERT INTO tenant (slug, name, language, timezone) VALUES ('a', 'x', 'en', 'Africa/Nairobi')",
    "INSERT INTO plan (tenant_id, name, service, price_kes, upload_kbps, download_kbps, validity_unit, validity_count,"
    " data_limit_bytes) SELECT id, 'p', 'any', 1, 2000, 8000, 'days', 30, 1000000 FROM tenant",
    "INSERT INTO subscriber (tenant_id, name) SELECT id, 's' FROM tenant",
    "INSERT INTO router (tenant_id, name, nas_address, radius_secret_sealed)"
    " SELECT id, 'r', '10.0.0.1', 'x' FROM tenant",
    "INSERT INTO subscription (tenant_id, subscriber_id, plan_id, service, username, password_sealed, expires_at)"
    " SELECT p.tenant_id, s.id, p.id, 'pppoe', 'u' || n, 'x', now() + interval '20 days'"
    " FROM generate_series(1, 3) n, plan p JOIN subscriber s USING (tenant_id)",
    "INSERT INTO usage (subscription_id, tenant_id) SELECT id, tenant_id FROM subscription",
    "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,"
    " interim_interval_s, started_at, last_seen_at)"
    " SELECT gen_random_uuid(), s.tenant_id, r.id, s.id, 'pppoe', s.username, 'x' || s.id, 300, now(), now()"
    " FROM subscription s JOIN router r USING (tenant_id)",
)


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    engine = make_engine(settings, "owner", pool_size=1)
    with session_factory(engine)() as opened:
        for statement in _FILL:
            opened.execute(text(statement))
        opened.commit()
        yield opened
    engine.dispose()


def looked(session: Session) -> int:
    found = look(session, lambda _router: Abilities(), now(session), 100)
    session.commit()
    return found


def now(session: Session) -> datetime:
    return session.scalars(select(func.now())).one()


def test_new_sessions_are_found_once_and_looked_at_again_when_something_may_change(session: Session) -> None:
    assert follow.discover_all(session, 100) == 3
    session.commit()
    assert looked(session) == 3
    held = session.scalars(select(SessionHeld)).all()
    assert [(each.known_from, each.held["rate_limit"]) for each in held] == [("rules", "2000k/8000k")] * 3
    rows = session.scalars(select(Follow)).all()
    assert all(row.look_at > now(session) and row.watch_from is not None for row in rows)
    assert {row.total_octets for row in rows} == {1_000_000}
    assert (looked(session), follow.discover_all(session, 100)) == (0, 0)
    assert session.scalars(select(SessionIntent)).all() == []


def test_use_that_reaches_a_limit_makes_an_intent_and_is_watched_no_more(session: Session) -> None:
    follow.discover_all(session, 100)
    session.commit()
    looked(session)
    session.execute(text("UPDATE usage SET output_octets = 1000000 WHERE subscription_id = 2"))
    session.commit()
    assert follow.notice_use(session) == 1
    session.commit()
    assert looked(session) == 1
    (intent,) = session.scalars(select(SessionIntent))
    assert (intent.cause, intent.reason, intent.way) == ("limit_reached", "data_used_up", "disconnect")
    session.expire_all()
    assert session.get_one(Follow, 2).watch_from is None


def test_the_sessions_of_several_changed_plans_are_looked_at_in_one_go_up_to_a_limit(session: Session) -> None:
    """One plan a second would be minutes for an operator who changes the prices of all."""
    follow.discover_all(session, 100)
    session.commit()
    looked(session)
    copied = "tenant_id, name, service, price_kes, upload_kbps, download_kbps, validity_unit, validity_count"
    names = copied.replace("name", "name || n")
    session.execute(text(f"INSERT INTO plan ({copied}) SELECT {names} FROM plan, generate_series(2, 3) n"))
    session.execute(text("UPDATE subscription SET plan_id = id"))
    session.commit()
    looked(session)
    session.execute(text("UPDATE plan SET download_kbps = 9000"))
    session.commit()
    assert (follow.follow_plans(session, 2), follow.follow_plans(session, 2), follow.follow_plans(session, 2)) == (
        2,
        1,
        0,
    )
    session.commit()
    assert looked(session) == 3
    assert {intent.cause for intent in session.scalars(select(SessionIntent))} == {"plan_terms"}
    assert session.scalars(select(FollowPlan)).all() == []


def test_an_intent_of_a_session_that_is_over_needs_nothing(session: Session, settings: Settings) -> None:
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    row: Any = session.execute(text("SELECT session_key, tenant_id, router_id FROM session LIMIT 1")).one()
    for key in (row.session_key, uuid4()):
        session.add(
            SessionIntent(
                tenant_id=row.tenant_id,
                session_key=key,
                router_id=row.router_id,
                cause="kick",
                action="disconnect",
                reason="kick",
                way="disconnect",
            )
        )
    session.execute(
        text("UPDATE session SET stopped_at = now(), stop_received = true, terminate_cause = 'User-Request'")
    )
    session.commit()
    assert take_orders(session, RouterStates(), keyring, now(session), 10) == ([], 2)
    session.commit()
    outcomes = {intent.outcome for intent in session.scalars(select(SessionIntent))}
    assert outcomes == {"the session ended: User-Request", "the session is over"}


LOGIN = (
    "INSERT INTO auth_log (logged_at, tenant_id, router_id, subscription_id, username, service, result, reason, detail)"
    " SELECT now() - make_interval(secs => :ago_s), s.tenant_id, r.id, s.id, s.username, 'pppoe', 'accept', 'ok',"
    " jsonb_build_object('plan_id', s.plan_id, 'rate_limit', cast(:rate AS text), 'class', cast(:class AS text),"
    " 'session_timeout_s', 20 * 86400)"
    " FROM subscription s JOIN router r USING (tenant_id) WHERE s.username = 'u1'"
)
CLASS, OTHER_CLASS = "k1.1.00000000000000aa", "k1.1.00000000000000bb"


def test_a_session_is_known_by_the_login_that_gave_its_class_however_late_that_is_logged(session: Session) -> None:
    """The log is written in the background. The device's login before was taken for it, and its router told twice."""
    session.execute(text("UPDATE session SET radius_class = :class WHERE username = 'u1'"), {"class": CLASS})
    session.execute(text(LOGIN), {"ago_s": 0, "rate": "1k/1k", "class": OTHER_CLASS})
    follow.discover_all(session, 100)
    session.commit()
    assert looked(session) == 3
    assert first_held(session) is None
    session.execute(text(LOGIN), {"ago_s": 3, "rate": "2000k/8000k", "class": CLASS})
    assert follow.discover(session, timedelta(minutes=1), 100) == 1
    session.commit()
    looked(session)
    held = first_held(session)
    assert held is not None
    assert (held.known_from, held.held["rate_limit"]) == ("login", "2000k/8000k")
    assert session.scalars(select(SessionIntent)).all() == []


def test_a_login_that_is_never_logged_is_waited_for_a_few_seconds_only(session: Session) -> None:
    session.execute(
        text("UPDATE session SET radius_class = :class, started_at = now() - interval '6 s' WHERE username = 'u1'"),
        {"class": CLASS},
    )
    follow.discover_all(session, 100)
    session.commit()
    looked(session)
    held = first_held(session)
    assert held is not None
    assert held.known_from == "rules"


def first_held(session: Session) -> SessionHeld | None:
    session.expire_all()
    of_first = select(SessionHeld).join(RadiusSession, RadiusSession.session_key == SessionHeld.session_key)
    return session.scalars(of_first.where(RadiusSession.username == "u1")).one_or_none()
