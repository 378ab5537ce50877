"""Which passwords are judged without FreeRADIUS's modules, and that they are judged as those would."""

from hashlib import md5

import pytest

from radius_module.password import is_right
from radius_module.request import access_request

CHALLENGE = bytes(range(16))


def login(**attributes: str) -> list[tuple[str, str]]:
    named = {name.replace("_", "-"): value for name, value in attributes.items()}
    return [("User-Name", "alice"), ("Kibali-Router-Id", "7"), *named.items()]


def chap(password: str, challenge: bytes = CHALLENGE) -> dict[str, str]:
    response = md5(b"\x05" + password.encode() + CHALLENGE).digest()
    return {"CHAP_Password": f"0x05{response.hex()}", "CHAP_Challenge": f"0x{challenge.hex()}"}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param({"User_Password": "sécret"}, True, id="PAP"),
        pytest.param({"User_Password": "SÉCRET"}, False, id="PAP, other letters"),
        pytest.param({"User_Password": ""}, False, id="PAP, empty"),
        pytest.param({"User_Password": "sécret "}, False, id="PAP, a blank too many"),
        pytest.param(chap("sécret"), True, id="CHAP"),
        pytest.param(chap("secret"), False, id="CHAP, wrong"),
        pytest.param(chap("sécret", b"other"), False, id="CHAP, another challenge"),
        pytest.param({**chap("sécret"), "User_Password": "wrong"}, True, id="CHAP goes before PAP"),
        pytest.param({"CHAP_Password": chap("sécret")["CHAP_Password"]}, None, id="CHAP of the Request Authenticator"),
        pytest.param({**chap("sécret"), "CHAP_Challenge": "0x0"}, None, id="half an octet"),
        pytest.param({"MS_CHAP_Challenge": "0x00", "User_Password": "sécret"}, None, id="MS-CHAP goes before PAP"),
        pytest.param({}, None, id="no password"),
    ],
)
def test_a_password_is_judged_where_the_packet_allows_it(attributes: dict[str, str], expected: bool | None) -> None:
    assert is_right(access_request(login(**attributes)), "sécret") is expected


def test_a_request_does_not_show_its_password() -> None:
    assert "sécret" not in repr(access_request(login(User_Password="sécret")))
