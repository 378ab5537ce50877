"""Where M-Pesa sends C2B payments. The routes are in api/app.py."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class C2bUrls:
    """Whoever knows them can claim to be M-Pesa."""

    confirmation_url: str
    validation_url: str


def c2b_urls(public_url: str, token: str) -> C2bUrls:
    base = f"{public_url.rstrip('/')}/webhooks/daraja/c2b/{token}"
    return C2bUrls(f"{base}/confirmation", f"{base}/validation")
