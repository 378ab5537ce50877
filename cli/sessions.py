"""`kibali session`"""

import time
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

import click
from sqlalchemy.orm import Session

from api.schemas.session import SessionOut, SessionQuery
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import session_intent, session_list
from db.refusal import Conflict
from db.session_list import Filters
from settings import Settings

COLUMNS = (
    "username",
    "service",
    "calling_station_id",
    "framed_ip_address",
    "started_at",
    "stopped_at",
    "session_time_s",
    "input_octets",
    "output_octets",
)


@click.group()
def session() -> None:
    """Who is, and was, online."""


@session.command("list")
@tenant_option
@click.option("--open", "open_only", is_flag=True, help="Only those that are not known to have ended.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="At most so many, newest first.")
@model_options(SessionQuery, without=("limit", "cursor", "sort", "open"))
@json_option
@pass_settings
def list_sessions(
    settings: Settings, /, tenant_slug: str | None, open_only: bool, limit: int, as_json: bool, **options: Any
) -> None:
    """Open and ended sessions, newest first."""
    query = read_options(SessionQuery, options)
    filters = Filters(
        open=True if open_only else None,
        subscription_id=query.subscription,
        router_id=query.router,
        username=query.username,
    )
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: session_list.page(desk.session, request, filters))
        rows = [printable(SessionOut.of(row), as_json=as_json) for row in islice(found, limit)]
    print_rows(rows, COLUMNS, as_json=as_json)


@session.command()
@click.argument("session_key", metavar="SESSION_KEY", type=click.UUID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, session_key: UUID, tenant_slug: str | None, as_json: bool) -> None:
    """One session; list --json has the keys."""
    with at_tenant(settings, tenant_slug) as desk:
        found = SessionOut.of(session_list.by_key(desk.session, session_key))
    print_record(found, as_json=as_json)


@session.command("kick")
@click.argument("sessions", nargs=-1, metavar="[SESSION_KEY…]", type=click.UUID)
@tenant_option
@click.option("--username", help="All open sessions of this username.")
@click.option(
    "--router", "router_id", type=click.IntRange(1), metavar="ID", help="With --username: only at this router."
)
@click.option(
    "--wait", "wait_s", type=click.IntRange(0, 600), default=10, show_default=True, help="Seconds to wait for the end."
)
@json_option
@pass_settings
def kick(
    settings: Settings,
    /,
    sessions: tuple[UUID, ...],
    tenant_slug: str | None,
    username: str | None,
    router_id: int | None,
    wait_s: int,
    as_json: bool,
) -> None:
    """Have sessions ended by their router, and tell what came of it.

    Who was online may log in again: to keep somebody out, suspend the subscription.
    """
    if bool(sessions) == bool(username):
        raise click.UsageError("name sessions by their keys (see session list --json), or give --username")
    with at_tenant(settings, tenant_slug) as desk:
        keys = list(sessions)
        if username:
            filters = Filters(open=True, username=username, router_id=router_id)
            found = every_row("-started_at", lambda request: session_list.page(desk.session, request, filters))
            keys = [row.session_key for row in found]
            if not keys:
                raise Failure(f"{username} has no open session.")
        asked = [key for key in keys if _kick(desk.session, key, is_alone=len(keys) == 1)]
    rows = _outcomes(settings, tenant_slug, keys, set(asked), wait_s)
    print_rows(rows, ("session_key", "username", "state", "outcome"), as_json=as_json)
    if any(row["state"] == "failed" for row in rows):
        raise Failure("Not every session could be ended. ./kibali why USERNAME shows each packet.")


def _kick(session: Session, key: UUID, *, is_alone: bool) -> bool:
    """Whether there was anything to end. One session of several may end by itself before it is its turn."""
    try:
        session_list.kick(session, key)
    except Conflict:
        if is_alone:
            raise
        return False
    return True


def _outcomes(
    settings: Settings, tenant_slug: str | None, keys: Sequence[UUID], asked: Collection[UUID], wait_s: int
) -> list[dict[str, Any]]:
    until = time.monotonic() + wait_s
    while True:
        with at_tenant(settings, tenant_slug) as desk:
            kicks = {key: kick for key, kick in session_intent.last_kicks(desk.session, keys).items() if key in asked}
            rows = [
                {
                    "session_key": str(key),
                    "username": session_list.by_key(desk.session, key).username,
                    "state": kicks[key].state if key in kicks else "over",
                    "outcome": (kicks[key].outcome or "its router was not asked yet") if key in kicks else "had ended",
                }
                for key in keys
            ]
        if all(kick.finished_at is not None for kick in kicks.values()) or time.monotonic() >= until:
            return rows
        time.sleep(0.3)
