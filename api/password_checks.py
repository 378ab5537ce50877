"""Passwords are checked slowly, on purpose: a few at once, whoever asks, and nobody waits for long."""

import asyncio

from anyio import CapacityLimiter, to_thread

from api.one_processor import on_any_processor
from api.problem import Problem
from isp import credentials

# Each takes 64 MiB and a processor for some tens of milliseconds.
_AT_ONCE = 2
_MOST_WAITING = 50
_WAIT_S = 10


class PasswordChecks:
    """Of one process; used by its event loop alone."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._waiting = 0

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """False without a hash, after as long. Raises Problem 503 where too many wait."""
        if self._waiting >= _MOST_WAITING:
            raise _too_many()
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                matched = await to_thread.run_sync(_check, password_hash, password, limiter=self._limiter)
        except TimeoutError:
            raise _too_many() from None
        finally:
            self._waiting -= 1
        return matched


def _check(password_hash: str | None, password: str) -> bool:
    with on_any_processor():
        matched = credentials.verify_admin_password(password_hash or credentials.hash_of_nobody(), password)
    return matched and password_hash is not None


def _too_many() -> Problem:
    return Problem(503, "busy", "Too many log in at once. Try again in a moment.", headers={"Retry-After": "5"})
