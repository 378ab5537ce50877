"""One-time passwords, by the test vectors of RFC 6238."""

import base64
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from isp import totp

SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("unix_time", "code"),
    # RFC 6238, appendix B, for SHA-1: the last six of its eight digits.
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_the_rfc(unix_time: int, code: str) -> None:
    now = datetime.fromtimestamp(unix_time, UTC)
    assert totp.accepted_step(SECRET, code, now) == unix_time // 30


@pytest.mark.parametrize(
    ("seconds", "good"), [(-31, False), (-30, True), (0, True), (30, True), (59, True), (60, False)]
)
def test_a_code_is_good_for_a_step_on_either_side(seconds: int, good: bool) -> None:
    then = datetime.fromtimestamp(1111111110, UTC)
    assert (totp.accepted_step(SECRET, "050471", then + timedelta(seconds=seconds)) is not None) is good


def test_a_code_is_good_once() -> None:
    now = datetime.fromtimestamp(59, UTC)
    step = totp.accepted_step(SECRET, "287082", now)
    assert step is not None
    assert totp.accepted_step(SECRET, "287082", now, last_step=step) is None
    assert totp.accepted_step(SECRET, "287082", now, last_step=step - 1) == step


@pytest.mark.parametrize("code", ["", "28708", "2870820", "28708a", "٢٨٧٠٨٢", "287082\n", "-87082", "None"])
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert totp.accepted_step(SECRET, code, datetime.fromtimestamp(59, UTC)) is None


def test_spaces_are_how_apps_show_it() -> None:
    assert totp.accepted_step(SECRET, "287 082", datetime.fromtimestamp(59, UTC)) == 1


def test_secrets_differ_and_fit_an_app() -> None:
    secrets = {totp.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(base64.b32decode(secret)) for secret in secrets} == {20}
    found = urlsplit(totp.uri("ABC", "jane+x@acme.example", "Kibali"))
    assert (found.scheme, found.netloc, found.path) == ("otpauth", "totp", "/Kibali%3Ajane%2Bx%40acme.example")
    assert parse_qs(found.query) == {"secret": ["ABC"], "issuer": ["Kibali"]}
