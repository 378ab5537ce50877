"""`kibali why`"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.text import Text

from api.schemas.why import WhyEntry, WhyLimit, WhyOut, WhyQuery, WhySubscription
from cli.desk import at_tenant, tenant_option
from cli.fields import model_options, read_options
from cli.options import json_option, pass_settings
from cli.output import console, print_json
from cli.units import octets, seconds
from db import why as whys
from settings import Settings

WIDTH = 100
_INDENT = 10
_STYLES = {"disconnect": "yellow", "rejected": "red", "accepted": "green", "silent": "yellow"}


@click.command()
@click.argument("who", metavar="WHO")
@tenant_option
@click.option("--since", default="24h", show_default=True, metavar="TEXT", help="30m, 24h, 7d, or a time: 2026-11-20.")
@model_options(WhyQuery, without=("who", "since"))
@json_option
@pass_settings
def why(settings: Settings, /, who: str, tenant_slug: str | None, since: str, as_json: bool, **options: Any) -> None:
    """Tell why WHO (a username, phone number or MAC address) is online, or is not.

    First the verdict, then how the subscription stands, then what happened, the newest last.
    """
    query = read_options(WhyQuery, {"who": who, "since": since, **options})
    with at_tenant(settings, tenant_slug) as desk:
        answer = whys.ask(desk.session, desk.tenant.id, query.who, query.since, query.limit, desk.now)
        shown = WhyOut.of_answer(answer)
    if as_json:
        print_json(shown.model_dump(mode="json"))
    else:
        _print(shown)


def _print(answer: WhyOut) -> None:
    screen, timezone = console(), ZoneInfo(answer.timezone)
    screen.width = min(screen.width, WIDTH) if screen.is_terminal else screen.width
    screen.print(Text(_printable(answer.verdict), style="bold"))
    for subscription in answer.subscriptions:
        screen.print()
        screen.print(Text(_headline(subscription, answer.until, timezone)))
        for heading, text in _standing(subscription):
            _print_beside(screen, heading, Text(text))
    screen.print()
    begin = f"{answer.since.astimezone(timezone):%Y-%m-%d %H:%M}"
    if answer.more:
        screen.print(
            f"More happened since {begin}: these are the newest {len(answer.timeline)}. Raise --limit for more."
        )
    if not answer.timeline:
        screen.print(f"Nothing happened since {begin} ({answer.timezone}).")
    for day, entries in groupby(answer.timeline, lambda entry: entry.at.astimezone(timezone).date()):
        screen.print(f"{day:%Y-%m-%d} ({answer.timezone})")
        for entry in entries:
            _print_beside(screen, f"{entry.at.astimezone(timezone):%H:%M:%S}", _line(entry, timezone))


def _print_beside(screen: Console, heading: str, text: Text) -> None:
    """What does not fit goes on below itself."""
    for number, line in enumerate(text.wrap(screen, screen.width - _INDENT)):
        line.rstrip()
        screen.print(Text(f"{'' if number else heading:<{_INDENT}}").append_text(line))


def _headline(subscription: WhySubscription, now: datetime, timezone: ZoneInfo) -> str:
    what = f"subscription {subscription.id}: {subscription.username}, {subscription.service}, {subscription.plan}"
    state = "" if subscription.state == "expired" else f", {subscription.state}"
    if subscription.expires_at is not None:
        word = "expired" if subscription.expires_at <= now else "expires"
        return f"{what}{state}, {word} {subscription.expires_at.astimezone(timezone):%Y-%m-%d %H:%M}"
    return f"{what}{state}, " + ("never expires" if subscription.activated_at else "begins with its first session")


def _standing(subscription: WhySubscription) -> Iterator[tuple[str, str]]:
    used = f"{octets(subscription.input_octets)} up, {octets(subscription.output_octets)} down"
    yield "used", f"{used}, {seconds(subscription.session_time_s)} in this validity"
    if subscription.limits:
        period = "" if subscription.limit_period == "validity" else f" of this {subscription.limit_period}"
        yield "left", "; ".join(map(_limit, subscription.limits)) + period
    yield "devices", f"{subscription.open_sessions} online of {subscription.devices}"
    if subscription.router_ids:
        yield "routers", "only " + ", ".join(map(str, subscription.router_ids))
    login = subscription.login_now
    said = f" ({login.message})" if login.message else ""
    speed = f", {login.rate_limit}" if login.rate_limit else ""
    yield "a login", f"now would be {login.result}ed: {login.reason}{said}{speed}"


def _limit(limit: WhyLimit) -> str:
    shown = seconds if limit.name == "time_limit_s" else octets
    what = {"data_limit_bytes": "", "upload_limit_bytes": " up", "download_limit_bytes": " down"}.get(limit.name, "")
    return f"{shown(limit.left)} of {shown(limit.limit)}{what}"


def _line(entry: WhyEntry, timezone: ZoneInfo) -> Text:
    """What happened, and below it what it rests on."""
    reason = f": {entry.reason}" if entry.reason else ""
    said = f" ({entry.message})" if entry.message else ""
    place = (entry.username, entry.calling_station_id, f"at {entry.router}" if entry.router else None)
    details = _DETAILS.get(entry.source, _any_details)(entry, timezone)
    below = ", ".join(filter(None, (*place, *details)))
    text = Text.assemble(f"{entry.source} ", (_printable(entry.what), _STYLES.get(entry.what, "")))
    text.append(_printable(f"{reason}{said}"))
    return text.append(f"\n{_printable(below)}", style="dim") if below else text


def _login_details(entry: WhyEntry, timezone: ZoneInfo) -> Iterator[str]:
    values = entry.values
    yield from _named(values, "service", "plan")
    if "expires_at" in values:
        yield f"expiry {_moment(values['expires_at'], timezone)}"
    if "open_sessions" in values:
        yield f"open sessions {values['open_sessions']}"
    if entry.what == "accepted":
        yield from _named(values, "rate_limit")
        if "session_timeout_s" in values:
            yield f"for {seconds(values['session_timeout_s'])}"
    if "packet" in values:
        yield f"packet ({values['packet']})"
    if "last_known_at" in values:
        yield f"PostgreSQL was away: decided by what was known {_moment(values['last_known_at'], timezone)}"


def _session_details(entry: WhyEntry, timezone: ZoneInfo) -> Iterator[str]:
    values = entry.values
    yield from _named(values, "framed_ip_address")
    if "started_at" in values:
        yield f"since {_moment(values['started_at'], timezone)}"
    if "session_time_s" in values:
        yield seconds(values["session_time_s"])
        yield f"{octets(values['input_octets'])} up, {octets(values['output_octets'])} down"
    if values.get("stop_received") is False:
        yield "not reported by the router"


def _follow_details(entry: WhyEntry, timezone: ZoneInfo) -> Iterator[str]:
    """What was wanted and why, each packet with its answer, and what came of it."""
    values = entry.values
    yield f"because of {values['cause'].replace('_', ' ')}"
    yield from _named(values.get("desired", {}), "rate_limit", "address_list")
    for packet in values.get("packets", ()):
        answer = packet.get("answer") or "no answer"
        timing = f" in {packet['ms']} ms" if "ms" in packet else ""
        tries = f" after {packet['tries']} tries" if packet.get("tries", 1) > 1 else ""
        yield f"{packet['sent']} -> {answer}{timing}{tries}"
    if "next_try_at" in values:
        yield f"next try {_moment(values['next_try_at'], timezone)}"
    yield f"{values['state']}: {values['outcome']}" if "outcome" in values else str(values["state"])


def _any_details(entry: WhyEntry, _timezone: ZoneInfo) -> Iterator[str]:
    return (f"{name.replace('_', ' ')} {value}" for name, value in entry.values.items())


def _printable(text: str) -> str:
    """A name that somebody typed into a login page may hold what steers a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _named(values: Mapping[str, Any], *names: str) -> Iterator[str]:
    return (str(values[name]) for name in names if values.get(name) is not None)


def _moment(text: str, timezone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(timezone):%Y-%m-%d %H:%M}"


_DETAILS: Mapping[str, Callable[[WhyEntry, ZoneInfo], Iterator[str]]] = {
    "login": _login_details,
    "session": _session_details,
    "follow": _follow_details,
}
