"""Where commands do their work: a database session in one tenant, or as the platform, committed when the work ends.

What the database refuses, and a database that does not answer, become one line that says so.
"""

import os
import pwd
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import click
from sqlalchemy import exc
from sqlalchemy.orm import Session, sessionmaker

from cli.failure import Failure
from db import tenant
from db.actor import Actor
from db.engine import act_as, make_engine, session_factory, use_tenant
from db.refusal import Refusal, refusal_of
from db.tenant import Tenant
from isp.encryption import EncryptionError, Keyring
from settings import DatabaseRole, Settings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Desk:
    """`session` sees the tenant's rows only."""

    session: Session
    tenant: Tenant
    keyring: Keyring
    now: datetime


def tenant_option(command: Callable[P, R]) -> Callable[P, R]:
    """Adds `--tenant SLUG`, which the command receives as `tenant_slug`."""
    return click.option("--tenant", "tenant_slug", metavar="SLUG", help="Default: the only tenant there is.")(command)


@contextmanager
def at_platform(settings: Settings) -> Iterator[Session]:
    """A session for tenants, admins and tokens, which sees every tenant."""
    with _failures(), _session(settings, "platform") as session:
        yield act_as(session, _actor())


@contextmanager
def at_tenant(
    settings: Settings, slug: str | None, prepare: Callable[[sessionmaker[Session]], None] | None = None
) -> Iterator[Desk]:
    """A desk in the tenant `slug`, or in the only one. Raises Failure if there is none such, or more than one.

    `prepare` is called with what makes the desk's session, before it does.
    """
    with at_platform(settings) as session:
        chosen = choose_tenant(session, slug)
    with _failures(), _session(settings, "api", prepare) as session:
        use_tenant(session, chosen.id, _actor())
        keyring = Keyring.parse(settings.encryption_keys.reveal())
        yield Desk(session, chosen, keyring, datetime.now(UTC))


def choose_tenant(session: Session, slug: str | None) -> Tenant:
    """The tenant `slug`, or the only one. Raises Failure if there is none such, or more than one."""
    tenants = tenant.all_tenants(session)
    names = ", ".join(each.slug for each in tenants)
    if not tenants:
        raise Failure("There is no tenant yet. Make one: ./kibali tenant add --slug SLUG --name NAME")
    if slug is None:
        if len(tenants) > 1:
            raise Failure(f"There is more than one tenant. Say which with --tenant: {names}.")
        return tenants[0]
    for each in tenants:
        if each.slug == slug:
            return each
    raise Failure(f"There is no tenant {slug}. There is: {names}.")


def _actor() -> Actor:
    """The account on this machine that the command runs under. Of the command its name alone: options hold secrets."""
    context = click.get_current_context(silent=True)
    action = context.command_path if context else "a program"
    account = os.environ.get("SUDO_USER") or _account()
    return Actor(who=f"{account}@{socket.gethostname()}", via="cli", action=action)


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's
        return f"uid {os.getuid()}"


@contextmanager
def at_owner(settings: Settings) -> Iterator[Session]:
    """A session of the role that owns the tables: for what only whoever runs the machine may do."""
    with _failures(), _session(settings, "owner") as session:
        yield act_as(session, _actor())


@contextmanager
def _session(
    settings: Settings, role: DatabaseRole, prepare: Callable[[sessionmaker[Session]], None] | None = None
) -> Iterator[Session]:
    engine = make_engine(settings, role, pool_size=1)
    try:
        factory = session_factory(engine)
        if prepare is not None:
            prepare(factory)
        with factory() as session:
            yield session
            session.commit()
    finally:
        engine.dispose()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise _failure(refusal) from None
    except EncryptionError as error:
        raise Failure(str(error)) from None
    except exc.IntegrityError as error:
        refused = refusal_of(error)
        if refused is None:
            raise
        raise _failure(refused) from None
    except exc.OperationalError as error:
        reason = str(error.orig).strip()
        raise Failure(f"PostgreSQL does not answer: {reason} Is Kibali running? ./kibali status") from None
    except exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != "42P01":  # undefined_table
            raise
        raise Failure("The database is empty. Run ./kibali db prepare.") from None


def _failure(refusal: Refusal) -> Failure:
    option = f"--{refusal.field.replace('_', '-')}: " if refusal.field else ""
    return Failure(f"{option}{refusal.message}")
