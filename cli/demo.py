"""`kibali demo`: the sample subscriber comes online, uses 9 GB and leaves, by real packets from a simulated NAS."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from time import sleep
from typing import Any, LiteralString

import click
import psycopg
from psycopg.rows import DictRow, dict_row
from rich.console import Console
from rich.markup import escape

from cli.failure import Failure
from cli.first_run import SampleLogin, sample_login
from cli.instance.readiness import reachable_at
from cli.nas import Answer, Method, Nas, NoAnswer, octets
from cli.options import pass_settings
from settings import Settings

MAC = "BC:24:11:EB:56:4D"
GIB = 1 << 30

# (seconds online, octets up, octets down); the second is sent twice, as routers do.
INTERIMS = ((300, GIB // 4, 3 * GIB), (600, GIB // 2, 6 * GIB), (600, GIB // 2, 6 * GIB), (900, GIB, 9 * GIB))

_HIDDEN = ("Message-Authenticator", "User-Password", "CHAP-Password", "CHAP-Challenge")

_SESSION = """
SELECT username, host(framed_ip_address) AS framed_ip_address, started_at, stopped_at, terminate_cause, session_time_s,
       input_octets, output_octets
  FROM session WHERE acct_session_id = %s
"""
_AUTH_LOG = """
SELECT logged_at, username, result, reason FROM auth_log
 WHERE calling_station_id = %s AND logged_at > now() - interval '1 minute' ORDER BY logged_at DESC LIMIT 4
"""
_USAGE = """
SELECT input_octets, output_octets, session_time_s FROM usage
 WHERE subscription_id = (SELECT subscription_id FROM session WHERE acct_session_id = %s)
"""


@dataclass
class _Screen:
    """Prints numbered steps, packets and rows."""

    console: Console
    numbers: Iterator[int]

    def step(self, text: str) -> None:
        self.console.print(f"\n[bold]{next(self.numbers)}. {escape(text)}[/]")

    def exchange(self, kind: str, answer: Answer) -> None:
        self.console.print(f"   → {kind}  {_shown(answer.sent)}", soft_wrap=True)
        colour = "red" if answer.code == "Access-Reject" else "green"
        self.console.print(f"   ← [{colour}]{answer.code}[/]  {_shown(answer.attributes)}", soft_wrap=True)

    def row(self, table: str, row: Mapping[str, Any] | None) -> None:
        if row is None:
            raise Failure(f"no row of {table} came of it. See `./kibali status` and var/log/freeradius.log.")
        self.console.print(f"   = {table}: {_shown(row)}", style="cyan", soft_wrap=True)


@click.command()
@pass_settings
def demo(settings: Settings) -> None:
    """Log the sample subscriber in, account for a session, log out; show each packet and the rows it became."""
    try:
        sample = sample_login(settings)
        if sample is None:
            raise Failure(
                "the sample subscriber is gone, so there is nothing to show. It comes with an empty database."
            )
        with psycopg.connect(settings.database_dsn("platform"), row_factory=dict_row) as database:
            _show(settings, sample, database, _Screen(Console(highlight=False), count(1)))
    except psycopg.OperationalError:
        raise Failure("the database does not answer. Is Kibali running? See `./kibali status`.") from None
    except NoAnswer as error:
        raise Failure(f"{error}. Is FreeRADIUS running? See `./kibali status`.") from None


def _show(settings: Settings, sample: SampleLogin, database: psycopg.Connection[DictRow], screen: _Screen) -> None:
    nas = Nas(
        reachable_at(settings.radius_bind), settings.radius_auth_port, settings.radius_acct_port, sample.radius_secret
    )
    wrong = sample.password + "x"
    logins: tuple[tuple[str, Method, str], ...] = (
        ("A login with a wrong password is refused, with a sentence for the customer", "pap", wrong),
        ("By PAP, as a login form over HTTPS sends it", "pap", sample.password),
        ("By CHAP, as the hotspot's own login page does", "chap", sample.password),
        ("By MS-CHAPv2, as PPPoE clients do", "mschapv2", sample.password),
    )
    for text, method, password in logins:
        screen.step(text)
        answer = nas.login(sample.username, password, method, mac=MAC)
        screen.exchange("Access-Request", answer)
        if (answer.code == "Access-Accept") != (password == sample.password):
            raise Failure(f"that was not the answer to expect: {answer.attributes.get('Reply-Message', answer.code)}")

    acct_session_id = f"80{token_hex(3)}"
    session = {
        "User-Name": sample.username,
        "Calling-Station-Id": MAC,
        "NAS-Port-Id": "bridge",
        "Framed-IP-Address": "10.5.50.254",
        "Class": answer.attributes["Class"],
    }
    screen.step("The router reports the session, every few minutes what it used, and its end")
    screen.exchange("Start", nas.account("Start", acct_session_id, session))
    for time_s, up, down in INTERIMS:
        counters = {**session, "Acct-Session-Time": time_s, **octets("Input", up), **octets("Output", down)}
        screen.exchange("Interim-Update", nas.account("Interim-Update", acct_session_id, counters))
    counters |= {"Acct-Session-Time": 930, "Acct-Terminate-Cause": "User-Request"}
    screen.exchange("Stop", nas.account("Stop", acct_session_id, counters))

    screen.step("What it became: every octet counted once, though one report came twice")
    screen.row("session", _one(database, _SESSION, acct_session_id))
    screen.row("usage", _one(database, _USAGE, acct_session_id))
    sleep(0.6)  # the log of logins is written in the background
    for row in database.execute(_AUTH_LOG, (MAC,)).fetchall():
        screen.row("auth_log", row)
    screen.console.print("\n   See it again: ./kibali session list", style="bold")


def _one(database: psycopg.Connection[DictRow], query: LiteralString, acct_session_id: str) -> DictRow | None:
    return database.execute(query, (acct_session_id,)).fetchone()


def _shown(values: Mapping[str, Any]) -> str:
    """`name = value` pairs, passwords and checksums left out, text of bytes where it is text."""
    return escape(", ".join(f"{name} = {_text(value)}" for name, value in values.items() if name not in _HIDDEN))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode() if value.isascii() and value.decode().isprintable() else f"0x{value.hex()}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)
