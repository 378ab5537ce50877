"""Guessing is stopped by device and by name, and nobody is locked out by what a stranger does."""

from dataclasses import dataclass
from time import perf_counter

import pytest

from radius_module import failures
from radius_module.failures import Failures

PHONE, LAPTOP = (7, "BC:24:11:EB:56:01"), (7, "BC:24:11:EB:56:02")
ADA, BEN = (7, "ada"), (7, "ben")
Who = tuple[int, str] | None


@dataclass(frozen=True)
class Fail:
    """So many failures, one each `every_s`."""

    times: int
    device: Who = PHONE
    name: tuple[int, str] = ADA
    at_s: float = 0.0
    every_s: float = 0.0


@dataclass(frozen=True)
class FailFromMany:
    """So many failures, each from another device."""

    times: int
    name: tuple[int, str] = ADA
    at_s: float = 0.0


@dataclass(frozen=True)
class GetIn:
    device: Who = PHONE
    name: tuple[int, str] = ADA


@dataclass(frozen=True)
class Then:
    """Whether this login is refused without a look."""

    blocked: bool
    at_s: float = 0.0
    device: Who = PHONE
    name: tuple[int, str] = ADA


Step = Fail | FailFromMany | GetIn | Then

SEQUENCES: dict[str, list[Step]] = {
    "nothing happened": [Then(False)],
    "nine failures are forgiven": [Fail(9), Then(False)],
    "the tenth blocks the device": [Fail(10), Then(True)],
    "under any name": [Fail(10), Then(True, name=BEN)],
    "and by many names too": [*(Fail(1, name=(7, f"name{number}")) for number in range(10)), Then(True)],
    "another device is free": [Fail(10), Then(False, device=LAPTOP)],
    "the same device at another router is free": [Fail(10), Then(False, device=(8, PHONE[1]), name=(8, ADA[1]))],
    "for a minute": [Fail(10), Then(True, 59.9), Then(False, 60.1)],
    "a minute from the tenth, not from the first": [
        Fail(10, every_s=5),
        Then(True, 104.9),
        Then(False, 105.1),
    ],
    "afterwards it starts over": [Fail(10), Fail(9, at_s=61), Then(False, 61)],
    "and is blocked again by ten more": [Fail(10), Fail(10, at_s=61), Then(True, 61), Then(False, 121.1)],
    "failures on their way do not prolong it": [Fail(10), Fail(12, at_s=30), Then(True, 59), Then(False, 60.1)],
    "nine now and nine later than a minute do not add up": [Fail(9), Fail(9, at_s=60.1), Then(False, 60.1)],
    "one each ten seconds is a person": [Fail(100, every_s=10), Then(False, 1000)],
    "getting in forgives the device": [Fail(9), GetIn(), Fail(9), Then(False)],
    "a device that gets in by its own name guesses on": [
        Fail(9),
        GetIn(name=BEN),
        Fail(9),
        Then(False),
        Fail(12),
        Then(True, device=LAPTOP),  # by now ada's name has had thirty
    ],
    "a name that 29 devices fail at is free": [FailFromMany(29), Then(False)],
    "a name that 30 devices fail at is not": [FailFromMany(30), Then(True), Then(False, name=BEN)],
    "for a minute as well": [FailFromMany(30), Then(True, 59.9), Then(False, 60.1)],
    "but for the device that last got in by it": [GetIn(), FailFromMany(30), Then(False), Then(True, device=LAPTOP)],
    "which stays free while the guessing goes on": [
        GetIn(),
        *(FailFromMany(30, at_s=30.0 * number) for number in range(20)),
        Then(False, 590),
        Then(True, 590, device=LAPTOP),
    ],
    "even if it mistypes": [GetIn(), FailFromMany(30), Fail(9), Then(False)],
    "but not if it guesses": [GetIn(), FailFromMany(30), Fail(10), Then(True)],
    "the owner's old device gives its privilege to the new one": [
        GetIn(PHONE),
        GetIn(LAPTOP),
        FailFromMany(30),
        Then(False, device=LAPTOP),
        Then(True, device=PHONE),
    ],
    "the privilege is for one name": [GetIn(name=BEN), FailFromMany(30), Then(True)],
    "getting in does not free the name for strangers": [FailFromMany(30), GetIn(), Then(True, device=LAPTOP)],
    "without an address the name alone counts": [
        Fail(29, device=None),
        Then(False, device=None),
        Fail(1, device=None),
        Then(True, device=None),
    ],
    "without an address nobody is the owner": [GetIn(device=None), FailFromMany(30), Then(True, device=None)],
}


def play(step: Step, record: Failures) -> None:
    match step:
        case Fail():
            for number in range(step.times):
                record.failed(step.device, step.name, step.at_s + number * step.every_s)
        case FailFromMany():
            for number in range(step.times):
                record.failed((step.name[0], f"02:00:00:00:00:{number:02X}"), step.name, step.at_s)
        case GetIn():
            record.succeeded(step.device, step.name)
        case Then():
            assert record.is_blocked(step.device, step.name, step.at_s) is step.blocked, step


@pytest.mark.parametrize("what", SEQUENCES)
def test_who_is_refused_without_a_look(what: str) -> None:
    record = Failures()
    for step in SEQUENCES[what]:
        play(step, record)


def test_a_flood_of_names_and_devices_is_bounded_in_memory_and_in_time() -> None:
    record = Failures()
    began = perf_counter()
    for number in range(100_000):
        record.failed((7, f"device {number}"), (7, f"name {number}"), 1.0)
        record.succeeded((7, f"device {number}"), (7, f"other {number}"))
    assert len(record._counts) <= failures.MAX_KEYS
    assert len(record._last_in) <= failures.MAX_KEYS
    assert perf_counter() - began < 10


def test_what_is_over_gives_way_before_what_still_blocks() -> None:
    record = Failures()
    for number in range(failures.MAX_KEYS - 2):
        record.failed(None, (7, f"name {number}"), 0.0)
    for _ in range(failures.DEVICE_FAILURES):
        record.failed(PHONE, ADA, 50.0)
    record.failed(None, (7, "one more"), 70.0)
    assert record.is_blocked(PHONE, BEN, 70.0)
    assert len(record._counts) == 3


def test_a_flood_does_not_free_who_is_blocked() -> None:
    """Or else failing under fifty thousand made-up addresses would be the way to be let try again."""
    record = Failures()
    for _ in range(failures.DEVICE_FAILURES):
        record.failed(PHONE, ADA, 0.0)
    for number in range(2 * failures.MAX_KEYS):
        record.failed((7, f"device {number}"), (7, f"name {number}"), 1.0)
    assert record.is_blocked(PHONE, ADA, 2.0)
    assert len(record._counts) <= failures.MAX_KEYS
