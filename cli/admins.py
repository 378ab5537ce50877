"""`kibali admin`"""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from api.schemas.api_token import ApiTokenCreate, ApiTokenMade, ApiTokenOut
from api.schemas.base import given
from api.schemas.tenant import AdminChange, AdminCreate, AdminOut, PasswordReset
from cli.desk import at_platform, choose_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import admin as admins
from db import admin_session, admin_totp, api_token
from isp import credentials
from settings import Settings

COLUMNS = ("id", "email", "role", "tenant_id", "created_at", "last_login_at", "disabled_at")
SESSION_COLUMNS = ("id", "address", "user_agent", "created_at", "last_used_at", "expires_at")
TOKEN_COLUMNS = ("id", "name", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at")


@click.group()
def admin() -> None:
    """The people who run a tenant, and the API tokens they work with."""


@admin.command()
@tenant_option
@model_options(AdminCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes an admin, who changes the password at the first login. One that is made up is shown now and never again."""
    body = read_options(AdminCreate, options)
    password = body.password or credentials.new_admin_password()
    with at_platform(settings) as session:
        of_tenant = None if body.role == "platform" else choose_tenant(session, tenant_slug).id
        created = admins.create(
            session,
            tenant_id=of_tenant,
            email=body.email,
            role=body.role,
            password=password,
            must_change_password=True,
        )
        record = AdminOut.of(created).model_dump(mode="json")
    if body.password is None:
        record["password"] = password
    print_record(record, as_json=as_json)


@admin.command("list")
@json_option
@pass_settings
def list_admins(settings: Settings, as_json: bool) -> None:
    """The admins of all tenants, and the platform's own."""
    with at_platform(settings) as session:
        rows = [printable(AdminOut.of(row), as_json=as_json) for row in admins.all_admins(session)]
    print_rows(rows, COLUMNS, as_json=as_json)


@admin.command()
@click.argument("email")
@click.option("--email", "new_email", metavar="TEXT", help="Another email.")
@model_options(AdminChange, without=("email",))
@json_option
@pass_settings
def change(settings: Settings, /, email: str, as_json: bool, **options: Any) -> None:
    """Sets the given fields of the admin EMAIL. The last owner stays one."""
    options["email"] = options.pop("new_email", None)
    values = given(read_options(AdminChange, options))
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        disabled = values.pop("disabled", None)
        admins.change(session, found, values)
        if disabled:
            admins.disable(session, found, datetime.now(UTC))
            admin_session.end_all(session, found.id, datetime.now(UTC))
        elif disabled is not None:
            admins.enable(session, found)
    print_record(AdminOut.of(found), as_json=as_json)


@admin.command()
@click.argument("email")
@pass_settings
def disable(settings: Settings, email: str) -> None:
    """Shuts an admin out, with every session and API token of theirs."""
    now = datetime.now(UTC)
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        admins.disable(session, found, now)
        admin_session.end_all(session, found.id, now)
    click.echo(f"{found.email} is disabled")


@admin.command()
@click.argument("email")
@pass_settings
def enable(settings: Settings, email: str) -> None:
    """Lets an admin in again, with the password and the API tokens of before."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        admins.enable(session, found)
    click.echo(f"{found.email} is enabled")


@admin.command("reset-password")
@click.argument("email")
@model_options(PasswordReset)
@pass_settings
def reset_password(settings: Settings, /, email: str, **options: Any) -> None:
    """Gives an admin another password, to be changed at the next login. One that is made up is shown now."""
    body = read_options(PasswordReset, options)
    password, now = body.password or credentials.new_admin_password(), datetime.now(UTC)
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        admins.set_password(session, found, password, now, must_change_password=True)
        ended = admin_session.end_all(session, found.id, now)
    click.echo(f"{found.email} has another password; {ended} sessions ended" if body.password else password)


@admin.command("reset-totp")
@click.argument("email")
@pass_settings
def reset_totp(settings: Settings, email: str) -> None:
    """Turns an admin's one-time passwords off: the phone was lost, and the recovery codes with it."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        if not admin_totp.turn_off(session, found.id):
            raise Failure(f"{found.email} has no one-time passwords.")
    click.echo(f"{found.email} logs in with the password alone")


@admin.command()
@click.argument("email")
@json_option
@pass_settings
def show(settings: Settings, email: str, as_json: bool) -> None:
    """One admin."""
    with at_platform(settings) as session:
        found = AdminOut.of(admins.by_email(session, email))
    print_record(found, as_json=as_json)


@admin.command()
@click.argument("email")
@json_option
@pass_settings
def sessions(settings: Settings, email: str, as_json: bool) -> None:
    """Where an admin is logged in, newest first."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        open_ones = admin_session.open_ones(session, found.id, datetime.now(UTC))
        rows = [{name: getattr(each, name) for name in SESSION_COLUMNS} for each in open_ones]
    print_rows(rows, SESSION_COLUMNS, as_json=as_json)


@admin.command("end-session")
@click.argument("email")
@click.argument("session_id", metavar="ID", type=ID)
@pass_settings
def end_session(settings: Settings, email: str, session_id: int) -> None:
    """Ends one session of an admin; `sessions` has the ids."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        admin_session.end(session, session_id, found.id, datetime.now(UTC))
    click.echo(f"session {session_id} of {found.email} ended")


@admin.command()
@click.argument("email")
@pass_settings
def logout(settings: Settings, email: str) -> None:
    """Ends all sessions of an admin. API tokens stay."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        ended = admin_session.end_all(session, found.id, datetime.now(UTC))
    click.echo(f"{ended} sessions of {found.email} ended")


@admin.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires. Default: never.")
@click.option("--scope", "scopes", multiple=True, metavar="TEXT", help="Such as payments:write; may be repeated.")
@json_option
@pass_settings
def token(
    settings: Settings, /, email: str, name: str, days: int | None, scopes: tuple[str, ...], as_json: bool
) -> None:
    """Makes an API token, which is shown now and never again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    body = read_options(ApiTokenCreate, {"name": name, "scopes": scopes})
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        made, plain = admins.issue_token(session, found, body.name, expires_at, body.scopes)
        record = ApiTokenMade.beside(ApiTokenOut.of(made), token=plain)
    if as_json:
        print_record(record, as_json=True)
    else:
        click.echo(plain)


@admin.command()
@click.argument("email")
@click.option("--revoked", is_flag=True, help="Those of once.")
@json_option
@pass_settings
def tokens(settings: Settings, email: str, revoked: bool, as_json: bool) -> None:
    """The API tokens of an admin, without themselves."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        rows = [
            printable(ApiTokenOut.of(row), as_json=as_json)
            for row in every_row(
                "id", lambda request: api_token.page(session, request, admin_id=found.id, revoked=revoked)
            )
        ]
    print_rows(rows, TOKEN_COLUMNS, as_json=as_json)


@admin.command("revoke-token")
@click.argument("token_id", metavar="ID", type=ID)
@pass_settings
def revoke_token(settings: Settings, token_id: int) -> None:
    """Makes an API token worthless. The record stays."""
    with at_platform(settings) as session:
        api_token.revoke(session, token_id, datetime.now(UTC))
    click.echo(f"API token {token_id} is revoked")
