"""Logging in, sessions, passwords. Passwords and codes go in and never come out."""

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas.base import Input, Output
from api.schemas.fields import Email, Line, Moment, StoredAddress

# What is checked is not judged: it was, when it was chosen.
Typed = Annotated[str, StringConstraints(min_length=1, max_length=200)]
NewPassword = Annotated[str, StringConstraints(min_length=12, max_length=200)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=20), Line]


class LoginBody(Input):
    """`code`: of the app, or a recovery code, where one-time passwords are on. `as_cookie`: for a web page."""

    email: Email
    password: Typed
    code: Code | None = None
    as_cookie: bool = False


class PasswordChange(Input):
    current_password: Typed
    new_password: NewPassword
    code: Code | None = Field(None, description="Of the app, where one-time passwords are on.")


class Reauthentication(Input):
    """The password again, so that a session that was left open can not do this."""

    password: Typed
    code: Code | None = Field(None, description="Of the app, where one-time passwords are on.")


class TotpConfirm(Input):
    code: Code


class MeOut(Output):
    """Who asks. `csrf_token` goes into the header X-CSRF-Token with the cookie; it is null with any other token."""

    admin_id: int
    email: str
    role: str
    tenant_id: int | None
    scopes: list[str] | None
    session_id: int | None
    csrf_token: str | None
    must_change_password: bool
    totp: bool


class LoggedInOut(Output):
    """A session. `token` is to be sent as a bearer's, and is not there where a cookie was asked for."""

    session_id: int
    admin_id: int
    email: str
    role: str
    tenant_id: int | None
    expires_at: Moment
    must_change_password: bool
    csrf_token: str
    token: str = ""


class AdminSessionOut(Output):
    """An open session. `current` is the one that asks."""

    id: int
    address: StoredAddress | None
    user_agent: str | None
    created_at: Moment
    last_used_at: Moment
    expires_at: Moment
    current: bool


class AdminSessionsOut(Output):
    """All that are open, newest first."""

    items: list[AdminSessionOut]


class EndedOut(Output):
    """How many sessions ended."""

    ended: int


class TotpSecretOut(Output):
    """For the app, once: `uri` as a QR code, or `secret` typed. It is asked for at no login until it is confirmed."""

    secret: str
    uri: str


class RecoveryCodesOut(Output):
    """Each is good once, in place of a code of the app. They are shown this once."""

    recovery_codes: list[str]
