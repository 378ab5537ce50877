"""Bodies: JSON that means one thing, or an answer that says why not."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import body
from api.problem import Problem

JSON = "application/json"


def outcome(content: bytes) -> Any:
    """The value, or the Problem that was raised instead."""
    try:
        return body.parse(content, JSON)
    except Problem as answered:
        return answered


def problem(content: bytes, content_type: str = JSON) -> Problem:
    with pytest.raises(Problem) as caught:
        body.parse(content, content_type)
    return caught.value


HOSTILE = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"{'a': 1}", "not JSON"),
    (b'{"a": 1,}', "not JSON"),
    (b'{"a": 1} {"b": 2}', "not JSON"),
    (b'{"a": NaN}', "NaN is not JSON"),
    (b'{"a": -Infinity}', "-Infinity is not JSON"),
    (b'{"a": 1, "a": 2}', "same field twice"),
    (b'{"x": {"a": 1, "a": 2}}', "same field twice"),
    (b'{"a": "\\u0000"}', "NUL"),
    (b'{"\\u0000": 1}', "NUL"),
    (b'{"a": ["x", "\\u0000"]}', "NUL"),
    (b'{"a": "\\ud800"}', "surrogate"),
    (b'{"a": "\xff"}', "not UTF-8"),
    (b'{"a": "\x01"}', "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b'{"a": ' + b"9" * 5000 + b"}", "too large"),
    (b"[" * 100_000 + b"]" * 100_000, "deep"),
    (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "deep"),
    (b"[" * 21 + b"]" * 21, "deep"),
]


@pytest.mark.parametrize(
    ("content", "sentence"), HOSTILE, ids=[f"{sentence}-{at}" for at, (_, sentence) in enumerate(HOSTILE)]
)
def test_what_is_not_plain_json_is_a_400_that_says_why(content: bytes, sentence: str) -> None:
    answered = problem(content)
    assert (answered.status, answered.code) == (400, "malformed")
    assert sentence in answered.message


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonp"],
)
def test_another_media_type_is_a_415(content_type: str) -> None:
    assert problem(b"{}", content_type).status == 415


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON", "application/json; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_in_utf_8_is_read(content_type: str) -> None:
    assert body.parse('{"name": "Wanjikũ"}'.encode(), content_type) == {"name": "Wanjikũ"}


def test_a_fraction_keeps_every_digit() -> None:
    assert body.parse(b"[0.1]", JSON) == [Decimal("0.1")]


def test_nesting_within_the_bound_is_read() -> None:
    assert body.parse(b"[" * 20 + b"]" * 20, JSON)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_problem(content: bytes) -> None:
    answered = outcome(content)
    assert not isinstance(answered, Problem) or answered.status == 400


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_json_from_anywhere_is_read_back_or_refused(value: Any) -> None:
    answered = outcome(json.dumps(value).encode())
    if isinstance(answered, Problem):
        assert "NUL" in answered.message or "surrogate" in answered.message
    else:
        assert answered == value
