"""Keys of WireGuard: X25519, written in base64."""

from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    private: str = field(repr=False)
    public: str


def generate() -> KeyPair:
    return _pair(X25519PrivateKey.generate())


def of_private(private: str) -> KeyPair:
    """Raises ValueError."""
    return _pair(X25519PrivateKey.from_private_bytes(b64decode(private, validate=True)))


def _pair(key: X25519PrivateKey) -> KeyPair:
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    return KeyPair(b64encode(private).decode(), b64encode(public).decode())
