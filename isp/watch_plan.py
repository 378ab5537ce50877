"""When a router is asked next: its turn in the period, and how long one that does not answer is left alone."""

READ_EVERY_S = 30.0
PROBE_EVERY_S = 10.0
PROBE_TRIES = 60
# The second failure in a row makes a router offline; until then it is asked again soon.
OFFLINE_AFTER_FAILURES = 2
_SECOND_LOOK_S = 10.0
_LONGEST_PAUSE_S = 300.0
# An irrational step: whatever ids there are, their turns are spread evenly.
_GOLDEN = 0.6180339887498949


def phase_s(router_id: int, period_s: float = READ_EVERY_S) -> float:
    """Its turn in each period, from 0 to `period_s`."""
    return router_id * _GOLDEN % 1.0 * period_s


def first_due_s(router_id: int, now_s: float, period_s: float = READ_EVERY_S) -> float:
    """Its next turn from now on."""
    turn = phase_s(router_id, period_s)
    return now_s + (turn - now_s) % period_s


def next_due_s(due_s: float, now_s: float, period_s: float = READ_EVERY_S) -> float:
    """The turn after the one that was due, without those that went by meanwhile."""
    missed = max(0.0, (now_s - due_s) // period_s)
    return due_s + (missed + 1) * period_s


def pause_s(failures: int, router_id: int, period_s: float = READ_EVERY_S) -> float:
    """After so many failures in a row: soon, then each 2 periods, 4, … up to 5 minutes; and not all at once."""
    if failures < OFFLINE_AFTER_FAILURES:
        return _SECOND_LOOK_S * period_s / READ_EVERY_S
    longest = _LONGEST_PAUSE_S * period_s / READ_EVERY_S
    pause = min(longest, period_s * 2.0 ** min(failures - 1, 10))
    return pause * (0.9 + 0.2 * (router_id * _GOLDEN % 1.0))
