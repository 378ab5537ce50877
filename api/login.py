"""POST /api/v1/auth/login: from an email and a password to a session.

Nobody learns who is an admin: not by the answer, nor by the time it takes. An attempt is counted before it is checked,
and forgotten if it succeeds (db/login.py).
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from api import body, session_cookie
from api.address import counted_as, parsed
from api.endpoint import open_to_all
from api.problem import Problem
from api.schemas.auth import LoggedInOut, LoginBody
from api.schemas.base import validate
from api.services import Services, services_of
from api.threads import in_thread
from db import admin, admin_session, admin_totp, audit, login
from db.actor import Actor
from db.admin_session import Origin
from db.engine import use_tenant
from db.login import Login
from isp import credentials


@dataclass(frozen=True, slots=True)
class Attempt:
    """To be checked."""

    attempt_id: int
    login: Login | None


@open_to_all({200: LoggedInOut}, LoginBody)
async def create(request: Request) -> Response:
    """Logs an admin in.

    Wrong, unknown and disabled are answered alike: 401 `unauthorized`. Where one-time passwords are on, a right
    password without its code is a 401 `code_required`. After a few failures an address waits: 429.
    """
    services = services_of(request)
    content = await body.read(request)
    values = validate(LoginBody, body.parse(content, request.headers.get("content-type", "")))
    origin = origin_of(request)
    attempt = await in_thread(claim, services, values.email, origin.source)
    known = attempt.login
    matched = await services.password_checks.matches(known.password_hash if known else None, values.password)
    return await in_thread(_answer, services, request, attempt, values, origin, matched)


def claim(services: Services, email: str, source: str) -> Attempt:
    """Counts the attempt. Raises Problem 429."""
    with services.sessions.begin() as session:
        claimed = login.claim(session, email, source)
        known = login.of_email(session, email)
    if claimed.attempt_id is None:
        message = f"Too many attempts failed. Wait {claimed.wait_s} seconds."
        raise Problem(429, "too_many_failures", message, headers={"Retry-After": str(claimed.wait_s)})
    return Attempt(claimed.attempt_id, known)


def origin_of(request: Request) -> Origin:
    host = request.client.host if request.client else "unknown"
    address = parsed(host)
    user_agent = request.headers.get("user-agent", "")
    printable = "".join(character for character in user_agent if character.isprintable())[:200]
    return Origin(counted_as(host), str(address) if address else None, printable or None)


def wrong(code: str = "unauthorized", message: str = "The email or the password is wrong.") -> Problem:
    return Problem(401, code, message, headers={"WWW-Authenticate": "Bearer"})


def _answer(
    services: Services, request: Request, attempt: Attempt, values: LoginBody, origin: Origin, matched: bool
) -> Response:
    known = attempt.login
    with services.sessions() as session:
        use_tenant(session, known.tenant_id if known else None, _actor(known, origin, request))
        if known is None or not matched or known.is_shut_out:
            _note_failure(session, known)
            raise wrong()
        if known.has_totp and values.code is None:
            login.forgive(session, attempt.attempt_id)
            session.commit()
            raise wrong("code_required", "Send the code that the app shows, too.")
        now = services.clock()
        if not admin_totp.use(session, known.admin_id, values.code or "", services.keyring, now):
            _note_failure(session, known)
            raise wrong("wrong_code", "This code is wrong, or it was used already.")
        who = admin.by_id(session, known.admin_id)
        begun, token = admin_session.begin(session, who, origin, now)
        login.forgive(session, attempt.attempt_id)
        session.commit()
    answer = LoggedInOut(
        session_id=begun.id,
        admin_id=who.id,
        email=who.email,
        role=who.role,
        tenant_id=who.tenant_id,
        expires_at=begun.expires_at,
        must_change_password=who.must_change_password,
        csrf_token=credentials.csrf_token(token),
        **({} if values.as_cookie else {"token": token}),
    )
    response = Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")
    if values.as_cookie:
        session_cookie.set_on(response, request, token)
    return response


def _note_failure(session: Session, known: Login | None) -> None:
    """In the tenant's audit log, or the platform's where there is no such admin."""
    audit.note(session, "failed_login", known.admin_id if known else "unknown")
    session.commit()


def _actor(known: Login | None, origin: Origin, request: Request) -> Actor:
    """Whom the audit log names. What was typed as an email is not written: it may be a password."""
    return Actor(
        who=known.email if known else "unknown",
        via="api",
        action="POST /api/v1/auth/login",
        admin_id=known.admin_id if known else None,
        address=origin.address,
        request_id=request.state.request_id,
    )
