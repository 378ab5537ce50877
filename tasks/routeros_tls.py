"""TLS to routers: encrypted to whoever holds the certificate we know. No authority ever signed it."""

import ssl
from functools import cache
from hashlib import sha256

from tasks.routeros_errors import CertificateChanged


@cache
def tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # RouterOS 6 offers RSA key exchange and CBC with SHA-1, which Python's own list leaves out. Without a certificate
    # it offers anonymous Diffie-Hellman alone: that stays out.
    context.set_ciphers("DEFAULT:!aNULL:!eNULL:@SECLEVEL=1")
    return context


def check_certificate(host: str, der: bytes | None, known_sha256: str | None) -> str:
    """SHA-256 of the certificate in lower-case hex, as /certificate calls `fingerprint`. Raises CertificateChanged.

    To be called before anything is sent. Without a known one whatever comes is taken: the caller stores it.
    """
    found = sha256(der or b"").hexdigest()
    if known_sha256 is not None and found != known_sha256.replace(":", "").lower():
        raise CertificateChanged(
            f"{host} has another certificate than before ({found[:16]}…). If it was reset or got a new certificate, "
            "confirm that; otherwise somebody stands between us and it.",
            found=found,
        )
    return found
