"""Every form RouterOS's `radius-mac-format` can send, and nothing else."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.mac import parse_mac

MAC = "BC:24:11:EB:56:4D"


@pytest.mark.parametrize(
    "text",
    [
        "BC:24:11:EB:56:4D",
        "BC-24-11-EB-56-4D",
        "BC 24 11 EB 56 4D",
        "BC24:11EB:564D",
        "BC2411:EB564D",
        "BC2411-EB564D",
        "BC2411EB564D",
        "BC24.11EB.564D",
        "BC24-11EB-564D",
    ],
)
@pytest.mark.parametrize("case", [str.upper, str.lower, str.swapcase, str.title], ids=lambda case: case.__name__)
def test_every_format_of_routeros_in_either_case_is_one_address(text: str, case: Callable[[str], str]) -> None:
    assert parse_mac(case(text)) == MAC


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("alice", id="a name"),
        pytest.param("BC:24:11:EB:56", id="five octets"),
        pytest.param("BC:24:11:EB:56:4D:00", id="seven octets"),
        pytest.param("BC:24:11:EB:56:4G", id="not hexadecimal"),
        pytest.param("BC:24-11:EB-56:4D", id="separators mixed"),
        pytest.param("BC24:11EB-564D", id="separators of fours mixed"),
        pytest.param("BC:24:11:EB:56:4", id="a digit short"),
        pytest.param("BC:24:11:EB:564D", id="a separator short"),
        pytest.param("BC2411EB564", id="eleven digits"),
        pytest.param("BC2411EB564D0", id="thirteen digits"),
        pytest.param("BC2411 EB564D", id="a space in the middle"),
        pytest.param("BC.24.11.EB.56.4D", id="dots between pairs"),
        pytest.param(" BC2411EB564D", id="space before"),
        pytest.param("BC2411EB564D\n", id="newline after"),
        pytest.param("BC2411EB564D\0", id="NUL after"),
        pytest.param("::::::::::::", id="separators only"),
        pytest.param("ﬀ:24:11:EB:56:4D", id="a ligature whose capitals are FF"),
        pytest.param("２2:24:11:EB:56:4D", id="a full-width digit"),
        pytest.param("BC:24:11:EB:56:4D" * 1000, id="very long"),
    ],
)
def test_anything_else_is_no_address(text: str | None) -> None:
    assert parse_mac(text) is None


def test_a_phone_number_of_twelve_digits_is_an_address_too() -> None:
    # Whoever must tell them apart compares with Calling-Station-Id.
    assert parse_mac("254712345678") == "25:47:12:34:56:78"


@given(st.text(alphabet=st.sampled_from("0123456789abcdefABCDEF:-. ﬀ\n\0x"), max_size=20))
def test_what_is_taken_has_the_twelve_digits_that_were_given(text: str) -> None:
    mac = parse_mac(text)
    if mac is not None:
        assert re.fullmatch(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", mac)
        assert mac.replace(":", "") == re.sub(r"[:\-. ]", "", text).upper()
        assert parse_mac(mac) == mac
