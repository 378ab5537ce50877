"""Who bears an API token: asked by itself, or with the first thing that the bearer reads."""

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from psycopg.pq.abc import PGresult
from sqlalchemy import Engine

from db.admin import Identity
from db.pipeline import Asked, Prepared
from db.round_trip import ask

MOST_REMEMBERED = 10_000

_AUTHENTICATE = b"SELECT to_json(found) FROM authenticate_token(decode($1, 'hex')) found"
_OPEN = Prepared.of(
    "SELECT to_json(found), set_config('kibali.tenant_id', found.tenant_id::text, true)"
    " FROM bearer_of_token(decode($1, 'hex')) found WHERE found.tenant_id IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A good API token, as PostgreSQL told of it."""

    token_hash: bytes
    said: bytes
    identity: Identity


class Changed(Exception):
    """PostgreSQL no longer says of a token what it said before; or it is time to note that the token is used."""


class AsBearer:
    """Confines a transaction to the tenant of whoever bears a token. Raises Changed if that is another than before."""

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer
        self.is_confirmed = False
        """Whether PostgreSQL said, since this was made, that the bearer is the one we took for granted."""

    def asked(self) -> Asked:
        return Asked(_OPEN, (self._bearer.token_hash.hex().encode(),))

    def source(self) -> bytes:
        """Of a SELECT, which has a row for a good token: its first column is for `check`."""
        return b"bearer_of_token(decode('%s', 'hex')) found" % self._bearer.token_hash.hex().encode()

    def check(self, answer: PGresult) -> None:
        if answer.ntuples != 1 or answer.get_value(0, 0) != self._bearer.said:
            raise Changed
        self.is_confirmed = True


def authenticate(engine: Engine, token_hash: bytes) -> Bearer | None:
    """Who the token stands for, and notes that it is used; None if it is unknown, expired, revoked, its admin disabled,
    or its tenant closed.
    """
    found = ask(engine, _AUTHENTICATE, [token_hash.hex().encode()])
    if not found or found[0] is None:
        return None
    row = json.loads(found[0])
    scopes = None if row["scopes"] is None else tuple(row["scopes"])
    expires_at = datetime.fromisoformat(row["expires_at"]) if row["expires_at"] else None
    identity = Identity(
        row["token_id"], row["admin_id"], row["tenant_id"], row["email"], row["role"], scopes, expires_at
    )
    return Bearer(token_hash, found[0], identity)


class Bearers:
    """Those that were seen last. What is remembered is only what to ask PostgreSQL about: nobody is let in by it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, Bearer] = OrderedDict()

    def get(self, token_hash: bytes) -> Bearer | None:
        return self._known.get(token_hash)

    def remember(self, bearer: Bearer) -> None:
        with self._lock:
            self._known[bearer.token_hash] = bearer
            self._known.move_to_end(bearer.token_hash)
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
