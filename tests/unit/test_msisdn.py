"""Phone numbers: what people and M-Pesa write, and what is no number at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.msisdn import parse_msisdn


@pytest.mark.parametrize(
    ("written", "msisdn"),
    [
        ("0712345678", "254712345678"),
        ("0112345678", "254112345678"),
        ("712345678", "254712345678"),
        ("112345678", "254112345678"),
        ("254712345678", "254712345678"),
        ("254112345678", "254112345678"),
        ("+254712345678", "254712345678"),
        ("+254 712 345 678", "254712345678"),
        ("0712-345-678", "254712345678"),
        (" 0712 345678 ", "254712345678"),
        ("(0712) 345.678", "254712345678"),
        ("0712\u00a0345\u00a0678", "254712345678"),
        ("+255712345678", "255712345678"),
        ("+256 772 123456", "256772123456"),
        ("+1 (202) 555-0143", "12025550143"),
        ("+4915112345678", "4915112345678"),
    ],
)
def test_every_usual_form_becomes_one(written: str, msisdn: str) -> None:
    assert parse_msisdn(written) == msisdn


@pytest.mark.parametrize(
    "written",
    [
        None,
        "",
        "2547****678",
        "2547XXXXX678",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "071234567",
        "07123456789",
        "25471234567",
        "2547123456789",
        "0812345678",
        "254812345678",
        "+254812345678",
        "0202345678",
        "+254202345678",
        "255712345678",
        "00254712345678",
        "++254712345678",
        "+0712345678",
        "+1234567890123456",
        "+12345",
        "0712345678\n",
        "0712345678; DROP",
        "٠٧١٢٣٤٥٦٧٨",
        "phone",
        "7" * 5000,
    ],
)
def test_what_is_no_mobile_number_is_refused(written: str | None) -> None:
    assert parse_msisdn(written) is None


@given(st.text(max_size=60))
def test_whatever_is_written_the_answer_is_a_number_or_none(written: str) -> None:
    msisdn = parse_msisdn(written)
    assert msisdn is None or (msisdn.isascii() and msisdn.isdigit() and 7 <= len(msisdn) <= 15)


@given(st.from_regex(r"(254[17][0-9]{8})", fullmatch=True))
def test_a_stored_number_reads_as_itself(msisdn: str) -> None:
    assert parse_msisdn(msisdn) == msisdn
    assert parse_msisdn("+" + msisdn) == msisdn
