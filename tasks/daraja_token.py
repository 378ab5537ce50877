"""Daraja's OAuth token, of which there is one: each request for a token makes the one before it worthless.

So all workers share it, in a store that somebody else keeps, and only who holds the store's lock asks for another.
"""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from isp import daraja_json
from isp.daraja_json import BadMessage
from settings import Secret

# A token that ends while a request is under way would be refused.
SPARE = timedelta(seconds=60)
_LIFE_WHEN_UNTOLD_S = 300
_LONGEST_LIFE_S = 86_400


@dataclass(frozen=True, slots=True)
class Token:
    value: Secret
    expires_at: datetime


class TokenStore(Protocol):
    """Where the workers of one payment account keep their token."""

    def get(self, now: datetime) -> Secret | None:
        """The latest one put by anybody, if it is good for SPARE after `now`."""

    def put(self, token: Token) -> None:
        """For everybody to see by the time `lock` is given away."""

    def lock(self) -> AbstractContextManager[object]:
        """Held by one worker at a time, for as long as a request for a token takes."""


class OwnTokenStore:
    """The TokenStore of one process that shares its token with no other."""

    def __init__(self) -> None:
        self._token: Token | None = None
        self._lock = threading.Lock()

    def get(self, now: datetime) -> Secret | None:
        token = self._token
        return token.value if token and token.expires_at - now > SPARE else None

    def put(self, token: Token) -> None:
        self._token = token

    def lock(self) -> AbstractContextManager[object]:
        return self._lock


def shared_token(store: TokenStore, fetch: Callable[[], Token], now: datetime, refused: Secret | None = None) -> Secret:
    """A token that is good at `now` and is not the `refused` one. Raises what `fetch` raises."""
    value = store.get(now)
    if value is not None and value != refused:
        return value
    with store.lock():
        value = store.get(now)
        if value is not None and value != refused:
            return value  # somebody else asked for it while we waited
        token = fetch()
        store.put(token)
        return token.value


def parse_token(body: bytes, now: datetime) -> Token:
    """From `{"access_token", "expires_in"}`, where expires_in is a number or a string. Raises BadMessage."""
    fields = daraja_json.read_object(body)
    value = fields.get("access_token")
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,4096}", value, re.ASCII):
        raise BadMessage("access_token is missing or malformed")
    told = daraja_json.as_text(fields.get("expires_in")) or ""
    is_number = told.isascii() and told.isdigit() and len(told) < 10
    life_s = min(int(told), _LONGEST_LIFE_S) if is_number else _LIFE_WHEN_UNTOLD_S
    return Token(Secret(value), now + timedelta(seconds=life_s))
