"""/api/v1/auth: what admins do about themselves."""

from api import session_cookie
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body
from api.login import claim, origin_of
from api.rights import AT_FIRST
from api.schemas.auth import (
    AdminSessionOut,
    AdminSessionsOut,
    EndedOut,
    MeOut,
    PasswordChange,
    Reauthentication,
    RecoveryCodesOut,
    TotpConfirm,
    TotpSecretOut,
)
from api.services import services_of
from db import admin, admin_session, admin_totp, login
from db.refusal import Conflict, Invalid
from isp import credentials, totp

ISSUER = "Kibali"


@endpoint(AT_FIRST, {200: MeOut})
def me(call: Call) -> Reply:
    """Shows who asks, and the token that a web page must send beside its cookie."""
    identity = call.caller.identity
    return Reply(
        MeOut(
            admin_id=identity.admin_id,
            email=identity.email,
            role=identity.role,
            tenant_id=identity.tenant_id,
            scopes=None if identity.scopes is None else list(identity.scopes),
            session_id=identity.session_id,
            csrf_token=session_cookie.csrf_token_of(call.request),
            must_change_password=identity.must_change_password,
            totp=admin_totp.is_on(call.session, identity.admin_id),
        )
    )


@endpoint(AT_FIRST, {204: None})
def logout(call: Call) -> Reply:
    """Ends the session that asks."""
    session_id = call.caller.identity.session_id
    if session_id is None:
        raise Conflict("This is an API token, not a session. Revoke it: DELETE /api/v1/tokens/ID.", code="no_session")
    admin_session.end(call.session, session_id, call.admin_id, call.now)
    return Reply(None, 204, {"Set-Cookie": session_cookie.cleared(call.request)})


@endpoint(AT_FIRST, {200: EndedOut})
def logout_all(call: Call) -> Reply:
    """Ends all of one's sessions, wherever they are. API tokens stay."""
    return Reply(EndedOut(ended=admin_session.end_all(call.session, call.admin_id, call.now)))


@endpoint(AT_FIRST, {200: AdminSessionsOut})
def sessions(call: Call) -> Reply:
    """Lists one's open sessions."""
    found = admin_session.open_ones(call.session, call.admin_id, call.now)
    current = call.caller.identity.session_id
    items = [
        AdminSessionOut(
            id=each.id,
            address=each.address and str(each.address),
            user_agent=each.user_agent,
            created_at=each.created_at,
            last_used_at=each.last_used_at,
            expires_at=each.expires_at,
            current=each.id == current,
        )
        for each in found
    ]
    return Reply(AdminSessionsOut(items=items))


@endpoint(AT_FIRST, {204: None})
def end_session(call: Call) -> Reply:
    """Ends one of one's sessions."""
    admin_session.end(call.session, call.id, call.admin_id, call.now)
    return NO_CONTENT


@with_body(AT_FIRST, PasswordChange, {204: None})
def change_password(call: Call, body: PasswordChange) -> Reply:
    """Changes one's password. All other sessions end; API tokens stay."""
    _reauthenticate(call, "current_password", body.current_password, body.code)
    if body.new_password == body.current_password:
        raise Invalid("It must differ from the current one.", field="new_password")
    who = admin.by_id(call.session, call.admin_id, for_update=True)
    admin.set_password(call.session, who, body.new_password, call.now, must_change_password=False)
    admin_session.end_all(call.session, call.admin_id, call.now, but=call.caller.identity.session_id)
    return NO_CONTENT


@with_body(AT_FIRST, Reauthentication, {200: TotpSecretOut})
def enrol_totp(call: Call, body: Reauthentication) -> Reply:
    """Makes a secret for an authenticator app. Until it is confirmed nothing is asked for."""
    _reauthenticate(call, "password", body.password, body.code)
    who = admin.by_id(call.session, call.admin_id)
    secret = admin_totp.enrol(call.session, who, call.keyring)
    return Reply(TotpSecretOut(secret=secret, uri=totp.uri(secret, who.email, ISSUER)))


@with_body(AT_FIRST, TotpConfirm, {200: RecoveryCodesOut})
def confirm_totp(call: Call, body: TotpConfirm) -> Reply:
    """Turns one-time passwords on: the code shows that the app has the secret."""
    codes = admin_totp.confirm(call.session, call.admin_id, body.code, call.keyring, call.now)
    return Reply(RecoveryCodesOut(recovery_codes=codes))


@with_body(AT_FIRST, Reauthentication, {204: None})
def disable_totp(call: Call, body: Reauthentication) -> Reply:
    """Turns one-time passwords off."""
    _reauthenticate(call, "password", body.password, body.code)
    if not admin_totp.turn_off(call.session, call.admin_id):
        raise Conflict("One-time passwords are off.", code="totp_off")
    return NO_CONTENT


def _reauthenticate(call: Call, field: str, password: str, code: str | None) -> None:
    """Raises Invalid for a wrong password or code, Problem 429 after too many; counted as a login's are."""
    services = services_of(call.request)
    attempt = claim(services, call.caller.identity.email, origin_of(call.request).source)
    known = attempt.login
    if known is None or not credentials.verify_admin_password(known.password_hash, password):
        raise Invalid("The password is wrong.", field=field)
    if known.has_totp and not admin_totp.use(call.session, call.admin_id, code or "", call.keyring, call.now):
        raise Invalid("Send the code that the app shows now.", field="code")
    # In a transaction of its own: what else is wrong with the request is no failed attempt.
    with services.sessions.begin() as session:
        login.forgive(session, attempt.attempt_id)
