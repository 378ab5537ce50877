"""From a router's row to its API."""

from typing import Any

import pytest

from db.router import Router, renew_api_password
from isp.encryption import EncryptionError, Keyring
from tasks.router_access import target_of
from tasks.routeros_errors import NoAccess

KEYRING = Keyring.parse(Keyring.generate("k1"))


def router(**changes: Any) -> Router:
    made = Router(
        id=7,
        name="gate",
        nas_address="192.0.2.7",
        api_port=8728,
        api_ssl_port=8729,
        api_username="kibali",
        api_plain="never",
    )
    renew_api_password(made, KEYRING)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"host": "192.0.2.7", "api_ssl_port": 8729, "plain": "never", "certificate_sha256": None}),
        ({"api_address": "10.8.0.2"}, {"host": "10.8.0.2"}),
        ({"api_port": 1, "api_ssl_port": 2}, {"api_port": 1, "api_ssl_port": 2}),
        ({"api_plain": "fallback", "api_username": "x"}, {"plain": "fallback", "username": "x"}),
        ({"api_certificate_sha256": "ab" * 32}, {"certificate_sha256": "ab" * 32}),
    ],
)
def test_a_target_is_what_the_row_says(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    target = target_of(router(**changes), KEYRING)
    assert {name: getattr(target, name) for name in expected} == expected


def test_each_router_has_a_password_of_its_own_that_does_not_show() -> None:
    one, other = router(), router()
    passwords = {target_of(made, KEYRING).password.reveal() for made in (one, other)}
    assert len(passwords) == 2
    assert {len(password) for password in passwords} == {32}
    assert not any(password in repr(target_of(one, KEYRING)) for password in passwords)


def test_a_password_moved_to_another_router_does_not_open() -> None:
    with pytest.raises(EncryptionError):
        target_of(router(id=8), KEYRING)


def test_a_router_from_before_there_were_passwords_is_told_how_to_get_one() -> None:
    with pytest.raises(NoAccess, match=r"no user for Kibali yet\. Run \./kibali router bootstrap 7 and") as refused:
        target_of(router(api_password_sealed=None), KEYRING)
    assert refused.value.permanent
