"""How an outgoing webhook is signed, after Standard Webhooks: by HMAC-SHA256 over its id, its time and its body."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "whsec_"


def new_secret() -> str:
    """`whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(webhook_id: str, timestamp_s: int, body: bytes, secrets_: Sequence[str]) -> dict[str, str]:
    """What goes with the body. A signature for each secret: who has either, the old or the new, can verify it."""
    signed = b".".join((webhook_id.encode(), str(timestamp_s).encode(), body))
    signatures = (hmac.new(_key(secret), signed, sha256).digest() for secret in secrets_)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in signatures),
    }


def _key(secret: str) -> bytes:
    """Raises ValueError for what is no secret."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a webhook's secret is whsec_ and base64") from None
