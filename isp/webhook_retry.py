"""When an outgoing webhook that was not taken is sent again, and when nobody tries any more."""

from datetime import datetime, timedelta

# After the first attempt, the second … : two days in all.
BACKOFF_S = (5, 60, 300, 1800, 7200, 18_000, 36_000, 86_400)
_PAUSE_S = (5, 10, 30, 60, 120, 300, 900)
GIVE_UP_AFTER = timedelta(days=3)


def next_attempt_at(attempts: int, now: datetime) -> datetime | None:
    """When a delivery that failed `attempts` times is tried again; None: not any more."""
    if attempts > len(BACKOFF_S):
        return None
    return now + timedelta(seconds=BACKOFF_S[attempts - 1])


def pause_until(failures: int, now: datetime) -> datetime:
    """How long an endpoint is left alone after so many failures in a row, whatever waits for it."""
    return now + timedelta(seconds=_PAUSE_S[min(failures, len(_PAUSE_S)) - 1])


def is_hopeless(failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint took nothing for so long that it is to be disabled."""
    return now - failing_since >= GIVE_UP_AFTER
