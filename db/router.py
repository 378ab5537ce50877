"""Routers: the NASes that ask us, known by the address their packets come from."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Index, Integer, UniqueConstraint, delete, func, select, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound
from db.router_state import RouterState
from db.router_tunnel import RouterTunnel
from isp import credentials
from isp.encryption import Keyring

STATUSES = (
    "pending",
    "probing",
    "online",
    "provisioning",
    "active",
    "connection_failed",
    "failed",
    "offline",
)


class Router(Base):
    __tablename__ = "router"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index(
            "router_tenant_id_name_key",
            "tenant_id",
            text("lower(name)"),
            unique=True,
            postgresql_where="removed_at IS NULL",
        ),
        # A packet is told apart by its source address alone, so an address is one router's in all tenants together.
        Index("router_nas_address_key", "nas_address", unique=True, postgresql_where="removed_at IS NULL"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint(
            "masklen(nas_address) = CASE family(nas_address) WHEN 4 THEN 32 ELSE 128 END", name="nas_address"
        ),
        CheckConstraint("coa_port BETWEEN 1 AND 65535", name="coa_port"),
        CheckConstraint("require_message_authenticator IN ('auto', 'yes', 'no')", name="message_authenticator"),
        CheckConstraint(f"status IN {STATUSES}", name="status"),
        CheckConstraint(
            "masklen(api_address) = CASE family(api_address) WHEN 4 THEN 32 ELSE 128 END", name="api_address"
        ),
        CheckConstraint("api_port BETWEEN 1 AND 65535 AND api_ssl_port BETWEEN 1 AND 65535", name="api_ports"),
        CheckConstraint("length(api_username) BETWEEN 1 AND 64", name="api_username"),
        CheckConstraint("api_plain IN ('never', 'fallback', 'only')", name="api_plain"),
        CheckConstraint(
            "api_certificate_sha256 ~ '^[0-9a-f]{64}$' AND api_certificate_offered_sha256 ~ '^[0-9a-f]{64}$'",
            name="api_certificates",
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[String]
    nas_address: Mapped[str] = mapped_column(INET)
    radius_secret_sealed: Mapped[Sealed]
    """Sealed for `router.radius_secret:<id>`."""
    require_message_authenticator: Mapped[String] = mapped_column(server_default="auto")
    coa_port: Mapped[int] = mapped_column(Integer, server_default="3799")
    swap_octets: Mapped[bool] = mapped_column(Boolean, server_default="false")
    """Acct-Input-Octets is what the client received (RFC 2866 says: what it sent)."""
    status: Mapped[String] = mapped_column(server_default="pending")
    status_reason: Mapped[String | None]
    """Why it is as it is and what to do, in words; None while nothing is wrong."""
    status_changed_at: Mapped[CreatedAt]
    api_address: Mapped[str | None] = mapped_column(INET)
    """Where its API is; None: at `nas_address`."""
    api_port: Mapped[int] = mapped_column(Integer, server_default="8728")
    api_ssl_port: Mapped[int] = mapped_column(Integer, server_default="8729")
    api_username: Mapped[String] = mapped_column(server_default="kibali")
    api_password_sealed: Mapped[Sealed | None]
    """Sealed for `router.api_password:<id>`; None: it was made known before there were any."""
    api_plain: Mapped[String] = mapped_column(server_default="never")
    """Whether its API is used without TLS; see Target in tasks/routeros_target.py."""
    api_certificate_sha256: Mapped[String | None]
    """Of the certificate that its API has; None until it is met."""
    api_certificate_offered_sha256: Mapped[String | None]
    """Of another one that it showed since, which an operator may accept."""
    identity: Mapped[String | None]
    """From here on what the router told of itself; None until it did, or where it has none such."""
    routeros_version: Mapped[String | None]
    architecture: Mapped[String | None]
    board: Mapped[String | None]
    model: Mapped[String | None]
    serial_number: Mapped[String | None]
    license_level: Mapped[String | None]
    device_mode: Mapped[dict[str, str] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
    removed_at: Mapped[Timestamp | None]


SORTS = {
    "id": Sort(Router.id, int),
    "name": Sort(func.lower(Router.name), str),
    "created_at": Sort(Router.created_at, datetime),
}


def create(
    session: Session, tenant_id: int, values: Mapping[str, Any], *, radius_secret: str, keyring: Keyring
) -> Router:
    router = Router(tenant_id=tenant_id, radius_secret_sealed=b"", **values)
    session.add(router)
    session.flush()  # the id, which the secret is sealed for
    _seal_radius_secret(router, radius_secret, keyring)
    renew_api_password(router, keyring)
    session.add(RouterState(tenant_id=tenant_id, router_id=router.id))
    session.flush()
    return router


def by_id(session: Session, router_id: int) -> Router:
    """Raises NotFound."""
    return _found(session.get(Router, router_id))


def in_service(session: Session, router_id: int) -> Router:
    """To be changed: its row is locked. Raises NotFound, and Conflict if it was removed."""
    router = _found(session.get(Router, router_id, with_for_update=True, populate_existing=True))
    if router.removed_at is not None:
        raise Conflict("This router was removed.", code="removed")
    return router


def page(session: Session, request: PageRequest, *, status: str | None = None, removed: bool = False) -> Page[Router]:
    statement = select(Router).where(Router.removed_at.is_not(None) if removed else Router.removed_at.is_(None))
    if status:
        statement = statement.where(Router.status == status)
    return one_page(session, statement, Router.id, SORTS, request, lambda row: row.Router)


def change(
    session: Session,
    router_id: int,
    values: Mapping[str, Any],
    *,
    radius_secret: str | None,
    keyring: Keyring,
    now: datetime,
) -> Router:
    """The router with `values` set, and its secret if one is given. Raises NotFound, and Conflict if removed."""
    router = in_service(session, router_id)
    if "nas_address" in values and session.get(RouterTunnel, router_id) is not None:
        raise Conflict("It is reached through a tunnel: remove that first.", code="tunnel", field="nas_address")
    for name, value in values.items():
        setattr(router, name, value)
    if radius_secret is not None:
        _seal_radius_secret(router, radius_secret, keyring)
    router.updated_at = now
    session.flush()
    return router


def remove(session: Session, router_id: int, now: datetime) -> None:
    """From now on its packets are those of a stranger, and its address is free. Raises NotFound."""
    router = _found(session.get(Router, router_id, with_for_update=True))
    if router.removed_at is None:
        router.removed_at = router.updated_at = now
        session.execute(delete(RouterTunnel).where(RouterTunnel.router_id == router_id))
    session.flush()


def radius_secret(router: Router, keyring: Keyring) -> str:
    """The secret in clear. Raises EncryptionError."""
    return keyring.open(router.radius_secret_sealed, f"router.radius_secret:{router.id}")


def api_password(router: Router, keyring: Keyring) -> str | None:
    """The password of our user on the router, in clear; None if it has none yet. Raises EncryptionError."""
    if router.api_password_sealed is None:
        return None
    return keyring.open(router.api_password_sealed, f"router.api_password:{router.id}")


def renew_api_password(router: Router, keyring: Keyring) -> None:
    """Makes up another one, which the router knows when its new bootstrap script was pasted."""
    password = credentials.new_router_password()
    router.api_password_sealed = keyring.seal(password, f"router.api_password:{router.id}")


def _seal_radius_secret(router: Router, secret: str, keyring: Keyring) -> None:
    router.radius_secret_sealed = keyring.seal(secret, f"router.radius_secret:{router.id}")


def _found(router: Router | None) -> Router:
    if router is None:
        raise NotFound("router")
    return router
