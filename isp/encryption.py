"""Secrets at rest: AES-256-GCM under named keys, so that keys can be rotated.

A sealed secret is `0x01 | length of key id | key id | 12-byte nonce | ciphertext and tag`. What it belongs to (say
`subscription.password:42`) is authenticated with it: a ciphertext moved to another row does not open.
"""

import base64
import binascii
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = 1
_NONCE_BYTES = 12


class EncryptionError(Exception):
    """A key is malformed or missing, or a sealed secret was damaged or belongs elsewhere."""


class Keyring:
    """Opens secrets sealed with any of its keys; seals with the first."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        """`keys`: id (1–32 ASCII characters) → 32 bytes, the sealing key first."""
        if not keys:
            raise EncryptionError("there is no encryption key: KIBALI_ENCRYPTION_KEYS is not set.")
        # By number: where id and key were swapped, what stands for the id is the key.
        for number, (key_id, key) in enumerate(keys.items(), start=1):
            if not key_id.isascii() or not 1 <= len(key_id) <= 32 or len(key) != 32:
                raise EncryptionError(f"encryption key number {number} must have a short ASCII id and 32 bytes.")
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._keys = list(keys.values())
        self._sealing_id = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """From `ID:BASE64[,ID:BASE64…]`. Raises EncryptionError without showing key material."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
            key_id, colon, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True) if colon else b""
            except (binascii.Error, ValueError):
                key = b""
            if not key:
                raise EncryptionError(f"encryption key number {number} is not ID:BASE64.")
            if key_id in keys:
                raise EncryptionError(f"encryption key number {number} has the id of one before it.")
            keys[key_id] = key
        return cls(keys)

    @staticmethod
    def generate(key_id: str) -> str:
        """A new key in the form `parse` reads."""
        return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"

    def seal(self, secret: str, belongs_to: str) -> bytes:
        key_id = self._sealing_id.encode()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._sealing_id].encrypt(nonce, secret.encode(), belongs_to.encode())
        return bytes((_FORMAT, len(key_id))) + key_id + nonce + sealed

    def digests(self, text: str, purpose: str) -> list[bytes]:
        """HMAC-SHA256 of `text` under a key for `purpose` derived from each key, that of the sealing key first.

        So that something can be found again, by whoever holds the keys and by nobody else.
        """
        derived = [hmac.digest(key, f"kibali.digest:{purpose}".encode(), "sha256") for key in self._keys]
        return [hmac.digest(key, text.encode(), "sha256") for key in derived]

    def open(self, sealed: bytes, belongs_to: str) -> str:
        """The secret. Raises EncryptionError for an unknown key, damage, or a secret of something else."""
        if len(sealed) < 2 or sealed[0] != _FORMAT:
            raise EncryptionError(f"the secret of {belongs_to} is not in a known format.")
        start = 2 + sealed[1]
        cipher = self._ciphers.get(sealed[2:start].decode("ascii", "replace"))
        if cipher is None:
            raise EncryptionError(
                f"the secret of {belongs_to} was sealed with a key that KIBALI_ENCRYPTION_KEYS lacks."
            )
        nonce, ciphertext = sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, belongs_to.encode()).decode()
        except (InvalidTag, ValueError):
            raise EncryptionError(f"the secret of {belongs_to} is damaged or belongs elsewhere.") from None
