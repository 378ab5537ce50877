"""Credentials that Kibali makes up: what a subscriber types, what a router is given, what a program presents."""

import hmac
import re
import secrets
from functools import cache
from hashlib import sha256

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# No i l o 0 1: read from a screen or a slip of paper and typed on a phone.
_EASY = "abcdefghjkmnpqrstuvwxyz23456789"
_LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_API_TOKEN = re.compile(r"kbl_[A-Za-z0-9_-]{43}")
_SESSION_TOKEN = re.compile(r"kbs_[A-Za-z0-9_-]{43}")
_hasher = PasswordHasher()


def new_password() -> str:
    """Eight easy characters, 39 bits: for a login that answers slowly and is logged."""
    return _draw(_EASY, 8)


def new_username() -> str:
    return _draw(_EASY, 8)


def new_admin_password() -> str:
    return "-".join(_draw(_EASY, 5) for _ in range(4))


def new_radius_secret() -> str:
    """32 letters and digits, which every RouterOS console takes without quoting."""
    return _draw(_LETTERS_AND_DIGITS, 32)


def new_router_password() -> str:
    """Of our user on a router; like a RADIUS secret."""
    return _draw(_LETTERS_AND_DIGITS, 32)


def new_api_token() -> str:
    """`kbl_` and 43 URL-safe characters that hold 256 random bits."""
    return "kbl_" + secrets.token_urlsafe(32)


def new_event_ticket() -> str:
    """`kbt_` and 43 URL-safe characters that hold 256 random bits."""
    return "kbt_" + secrets.token_urlsafe(32)


def new_session_token() -> str:
    """`kbs_` and 256 random bits, as an API token's."""
    return "kbs_" + secrets.token_urlsafe(32)


def is_session_token(text: str) -> bool:
    return _SESSION_TOKEN.fullmatch(text) is not None


def csrf_token(session_token: str) -> str:
    """What a page must send beside its cookie. Nobody can derive it who does not hold the cookie's value."""
    return hmac.new(session_token.encode(), b"kibali csrf", sha256).hexdigest()


def new_recovery_codes() -> list[str]:
    """Ten codes of ten easy characters, 49 bits each: for whoever lost the phone."""
    return [f"{_draw(_EASY, 5)}-{_draw(_EASY, 5)}" for _ in range(10)]


def is_api_token(text: str) -> bool:
    return _API_TOKEN.fullmatch(text) is not None


def api_token_hash(token: str) -> bytes:
    """SHA-256, all that is kept of a token."""
    return sha256(token.encode()).digest()


def hash_admin_password(password: str) -> str:
    """argon2id in the PHC string format."""
    return _hasher.hash(password)


@cache
def hash_of_nobody() -> str:
    """To be checked against where there is no such admin, so that the answer takes as long."""
    return _hasher.hash(secrets.token_urlsafe(32))


def verify_admin_password(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _draw(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
