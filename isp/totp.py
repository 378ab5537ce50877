"""One-time passwords of an authenticator app (RFC 6238): six digits of HMAC-SHA-1, a new one each 30 seconds."""

import base64
import hmac
import re
import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_S = 30
DIGITS = 6
# A phone's clock is off, and people type slowly.
_STEPS_OFF = 1
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """160 random bits (RFC 4226, 4) in base 32, as apps take it."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def uri(secret: str, email: str, issuer: str) -> str:
    """otpauth://…, to be shown as a QR code."""
    label = quote(f"{issuer}:{email}")
    return f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': issuer}, quote_via=quote)}"


def accepted_step(secret: str, code: str, now: datetime, last_step: int | None = None) -> int | None:
    """The step that `code` is of; None if it is wrong, of another time, or not later than `last_step`, the last used.

    A code is good once (RFC 6238, 5.2): whoever looks over a shoulder can not use it again.
    """
    code = code.replace(" ", "")
    if not _CODE.fullmatch(code):
        return None
    generator = TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)  # noqa: S303 - what every app speaks
    current = int(now.timestamp()) // STEP_S
    found = None
    for step in range(current - _STEPS_OFF, current + _STEPS_OFF + 1):
        is_it = hmac.compare_digest(generator.generate(step * STEP_S), code.encode())
        if is_it and (last_step is None or step > last_step):
            found = step
    return found
