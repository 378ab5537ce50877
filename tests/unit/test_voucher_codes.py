"""Voucher codes: hard to guess, easy to type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.voucher import ALPHABET, LEAST_LENGTH, MOST_LENGTH, new_code, new_codes, normal_code, printed


def test_no_character_passes_for_another() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 30
    assert set(ALPHABET).isdisjoint("ILO01U")


def test_codes_of_a_batch_are_all_different() -> None:
    codes = new_codes(5000)
    assert len(set(codes)) == 5000
    assert {len(code) for code in codes} == {10}


def test_codes_use_the_whole_alphabet_evenly() -> None:
    drawn = "".join(new_codes(3000))
    counts = [drawn.count(character) for character in ALPHABET]
    assert min(counts) > 800
    assert max(counts) < 1200


@given(st.integers(LEAST_LENGTH, MOST_LENGTH))
def test_a_printed_code_is_read_back(length: int) -> None:
    code = new_code(length)
    assert normal_code(printed(code)) == code


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("7KQ2XM4P9D", "7KQ2XM4P9D"),
        ("7kq2-xm4p-9d", "7KQ2XM4P9D"),
        (" 7KQ2 XM4P 9D ", "7KQ2XM4P9D"),
        ("7KQ2–XM4P—9D", "7KQ2XM4P9D"),
        ("7kq2.xm4p_9u", "7KQ2XM4P9V"),
    ],
)
def test_a_code_is_understood_however_it_is_typed(typed: str, code: str) -> None:
    assert normal_code(typed) == code


@pytest.mark.parametrize(
    "typed", ["", "7KQ2XM4", "7KQ2XM4P9O", "7KQ2XM4P91", "7KQ2 XM4P/9D", "7" * 21, "-" * 61, "ŠKQ2XM4P9D", "٣KQ2XM4P9D"]
)
def test_what_can_not_be_a_code_is_none(typed: str) -> None:
    assert normal_code(typed) is None


def test_a_code_is_printed_in_groups_of_four() -> None:
    assert printed("7KQ2XM4P9D") == "7KQ2-XM4P-9D"
