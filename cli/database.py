"""`kibali db`"""

import click
import psycopg
from sqlalchemy import text

from cli.desk import at_platform
from cli.failure import Failure
from cli.options import json_option, pass_settings
from cli.output import print_json
from db import prepare as preparing
from settings import Settings


@click.group()
def db() -> None:
    """The database: making it ready, and how far it is."""


@db.command()
@pass_settings
def prepare(settings: Settings) -> None:
    """Makes roles, database and tables, or brings them up to date. Safe to run again."""
    try:
        preparing.prepare(settings)
    except (preparing.PrepareError, psycopg.OperationalError) as error:
        raise Failure(str(error)) from None
    click.echo(f"the database {settings.database_name} is at revision {preparing.newest_revision()}")


@db.command()
@json_option
@pass_settings
def revision(settings: Settings, as_json: bool) -> None:
    """The revision that the database is at, and the newest one."""
    newest = preparing.newest_revision()
    with at_platform(settings) as session:
        current = session.scalar(text("SELECT version_num FROM alembic_version"))
    if as_json:
        print_json({"revision": current, "newest": newest})
    elif current == newest:
        click.echo(f"{current}, the newest")
    else:
        click.echo(f"{current}; the newest is {newest}: run ./kibali db prepare")
