"""Cursors: they come back from outside, so nothing in them is trusted."""

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import cursor
from db import plan, session_list, subscription_list
from db.page import Position
from db.refusal import Invalid

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(list(parts)).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("sort", "position"),
    [
        ("id", Position(7, 7)),
        ("-name", Position('jürgen\'s "plan"', 2**62)),
        ("price_kes", Position(Decimal("9999999999.99"), 1)),
        ("-created_at", Position(NOW, 3)),
        ("created_at", Position(NOW.astimezone(timezone(timedelta(hours=3))), 3)),
    ],
)
def test_a_position_survives_the_way_out_and_back(sort: str, position: Position) -> None:
    assert cursor.decode(cursor.encode(sort, position), sort, plan.SORTS, int) == position


def test_a_subscription_that_never_expires_has_a_position() -> None:
    position = Position(None, 5)
    text = cursor.encode("expires_at", position)
    assert cursor.decode(text, "expires_at", subscription_list.SORTS, int) == position


def test_a_session_is_found_again_by_its_key() -> None:
    position = Position(NOW, uuid4())
    text = cursor.encode("-started_at", position)
    assert cursor.decode(text, "-started_at", session_list.SORTS, UUID) == position


def test_a_cursor_of_another_order_is_refused() -> None:
    with pytest.raises(Invalid, match="another order"):
        cursor.decode(cursor.encode("id", Position(1, 1)), "-id", plan.SORTS, int)


@pytest.mark.parametrize(
    ("sort", "text"),
    [
        ("id", ""),
        ("id", "%%%"),
        ("id", "é"),
        ("id", forged()),
        ("id", forged("id", 1)),
        ("id", forged("id", 1, 1, 1)),
        ("id", forged("id", "1", 1)),
        ("id", forged("id", True, 1)),
        ("id", forged("id", None, 1)),
        ("id", forged("id", -1, 1)),
        ("id", forged("id", 2**63, 1)),
        ("id", forged("id", 1, 2**63)),
        ("id", forged("id", 1.5, 1)),
        ("id", forged("id", [1], 1)),
        ("id", forged("id", {"a": 1}, 1)),
        ("name", forged("name", "a\0b", 1)),
        ("name", forged("name", "\ud800", 1)),
        ("name", forged("name", 1, 1)),
        ("price_kes", forged("price_kes", "NaN", 1)),
        ("price_kes", forged("price_kes", "1e999999", 1)),
        ("price_kes", forged("price_kes", 5, 1)),
        ("created_at", forged("created_at", "2026-03-29T01:30:00", 1)),
        ("created_at", forged("created_at", "2026-03-29T01:30:00+23:59", 1)),
        ("created_at", forged("created_at", "yesterday", 1)),
        ("created_at", forged("created_at", None, 1)),
        ("id", base64.urlsafe_b64encode(b"[" * 1400).decode()),
    ],
)
def test_a_damaged_or_forged_cursor_is_refused(sort: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        cursor.decode(text, sort, plan.SORTS, int)
    assert caught.value.field == "cursor"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes().map(str)


@given(st.sampled_from(sorted(plan.SORTS)), st.text() | st.lists(scalars, max_size=4).map(lambda parts: forged(*parts)))
def test_any_text_is_a_position_or_refused(sort: str, text: str) -> None:
    try:
        position = cursor.decode(text, sort, plan.SORTS, int)
    except Invalid:
        return
    assert isinstance(position.value, plan.SORTS[sort].type)
    assert isinstance(position.id, int)


@given(st.sampled_from(sorted(plan.SORTS)), scalars, scalars)
def test_any_forged_values_are_a_position_or_refused(sort: str, value: Any, identity: Any) -> None:
    try:
        position = cursor.decode(forged(sort, value, identity), sort, plan.SORTS, int)
    except Invalid:
        return
    assert isinstance(position.value, plan.SORTS[sort].type)
    assert 0 <= position.id < 2**63
