"""`kibali demo`: the sample subscriber comes online, uses 9 GB and leaves, by real packets from a simulated NAS."""

from secrets import token_hex
from time import sleep
from typing import LiteralString

import click
import psycopg
from psycopg.rows import DictRow, dict_row

from cli.demo_pay import pay
from cli.demo_router import router
from cli.demo_screen import Screen
from cli.failure import Failure
from cli.first_run import SAMPLE_MAC, SampleLogin, sample_login
from cli.instance.readiness import reachable_at
from cli.nas import Method, Nas, NoAnswer, octets
from settings import Settings

GIB = 1 << 30

# (seconds online, octets up, octets down); the second is sent twice, as routers do.
INTERIMS = ((300, GIB // 4, 3 * GIB), (600, GIB // 2, 6 * GIB), (600, GIB // 2, 6 * GIB), (900, GIB, 9 * GIB))

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


@click.group(invoke_without_command=True)
@click.pass_context
def demo(context: click.Context) -> None:
    """Log the sample subscriber in, account for a session, log out; show each packet and the rows it became.

    `./kibali demo pay PHONE` shows a payment instead, `./kibali demo router` how a router is set up.
    """
    if context.invoked_subcommand is None:
        _demonstrate(Settings.load())


demo.add_command(pay)
demo.add_command(router)


def _demonstrate(settings: Settings) -> None:
    try:
        sample = sample_login(settings)
        if sample is None:
            raise Failure(
                "the sample subscriber is gone, so there is nothing to show. It comes with an empty database."
            )
        with psycopg.connect(settings.database_dsn("platform"), row_factory=dict_row) as database:
            _show(settings, sample, database, Screen())
    except psycopg.OperationalError:
        raise Failure("the database does not answer. Is Kibali running? See `./kibali status`.") from None
    except NoAnswer as error:
        raise Failure(f"{error}. Is FreeRADIUS running? See `./kibali status`.") from None


def _show(settings: Settings, sample: SampleLogin, database: psycopg.Connection[DictRow], screen: Screen) -> None:
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
        answer = nas.login(sample.username, password, method, mac=SAMPLE_MAC)
        screen.exchange("Access-Request", answer)
        if (answer.code == "Access-Accept") != (password == sample.password):
            raise Failure(f"that was not the answer to expect: {answer.attributes.get('Reply-Message', answer.code)}")

    acct_session_id = f"80{token_hex(3)}"
    session = {
        "User-Name": sample.username,
        "Calling-Station-Id": SAMPLE_MAC,
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
    for row in database.execute(_AUTH_LOG, (SAMPLE_MAC,)).fetchall():
        screen.row("auth_log", row)
    screen.console.print("\n   See it again: ./kibali session list", style="bold")


def _one(database: psycopg.Connection[DictRow], query: LiteralString, acct_session_id: str) -> DictRow | None:
    return database.execute(query, (acct_session_id,)).fetchone()
