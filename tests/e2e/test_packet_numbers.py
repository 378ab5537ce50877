"""One number ties what FreeRADIUS says of a packet, what our module says of it, and what is kept of it."""

import re

from tests.e2e.test_malformed import access, accounting, send
from tests.fakes.fleet import attribute
from tests.radius import PASSWORD, Radius, soon

PACKETS_OF = "SELECT detail ->> 'packet' AS packet FROM auth_log WHERE username = %s ORDER BY logged_at, id"


def test_each_login_has_a_number_of_its_own_in_the_log_of_logins(radius: Radius) -> None:
    username, nas = radius.subscribe().username, radius.nas()
    nas.login(username, PASSWORD)
    nas.login(username, "wrong")
    nas.login(username, PASSWORD, "mschapv2", service="pppoe")
    assert soon(lambda: len(radius.rows(PACKETS_OF, username)) == 3)
    numbers = [int(row["packet"]) for row in radius.rows(PACKETS_OF, username)]
    assert numbers == sorted(set(numbers))


def test_a_login_that_no_python_can_read_is_logged_with_its_number_all_the_same(radius: Radius) -> None:
    """A name that is not UTF-8 makes the call of the module fail: such logins were refused, and not logged at all."""
    send(radius, access(attribute(1, b"tied\xff") + attribute(2, bytes(16))))
    (row,) = soon(lambda: radius.rows("SELECT * FROM auth_log WHERE username = '0x74696564ff'")) or [{}]
    assert row.get("reason") == "malformed", log_of(radius)[-2000:]
    assert row["detail"]["packet"].isdigit()


def test_a_record_that_is_set_aside_has_its_number_in_our_line_and_in_the_file(radius: Radius) -> None:
    send(radius, accounting(attribute(44, "tied to its line") + attribute(1, "nobody")))
    kept = soon(lambda: set_aside(radius, "tied to its line"))
    (number,) = re.findall(r'Kibali-Packet = "(\d+)"', kept)
    line = f"kibali: ({number}) an accounting packet was set aside: there is no Acct-Status-Type"
    assert soon(lambda: line in log_of(radius)), log_of(radius)[-2000:]


def log_of(radius: Radius) -> str:
    return (radius.settings.var / "freeradius.log").read_text("utf-8", "replace")


def set_aside(radius: Radius, acct_session_id: str) -> str:
    files = (radius.settings.var / "spool").glob("unstorable-*.detail")
    records = "".join(each.read_text("utf-8", "replace") for each in files).split("\n\n")
    return next((record for record in records if acct_session_id in record), "")
