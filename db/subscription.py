"""Subscriptions: one subscriber's hold on one plan, with the credentials and devices that log in by it, and where."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, MACADDR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Sealed, String, TenantId, Timestamp


class Subscription(Base):
    __tablename__ = "subscription"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscriber.tenant_id", "subscriber.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"]),
        Index(
            "subscription_tenant_id_username_key",
            "tenant_id",
            text("lower(username)"),
            unique=True,
            postgresql_where="status <> 'cancelled'",
        ),
        # For logins. Finds cancelled ones too, so that their former holders are told so.
        Index("subscription_tenant_id_username_idx", "tenant_id", text("lower(username)")),
        Index("subscription_tenant_id_username_lower_idx", "tenant_id", "username_lower"),
        Index("subscription_tenant_id_subscriber_id_idx", "tenant_id", "subscriber_id"),
        Index("subscription_tenant_id_plan_id_idx", "tenant_id", "plan_id"),
        Index(
            "subscription_tenant_id_framed_ip_address_key",
            "tenant_id",
            "framed_ip_address",
            unique=True,
            postgresql_where="status <> 'cancelled'",
        ),
        Index(
            "subscription_tenant_id_delegated_ipv6_prefix_key",
            "tenant_id",
            "delegated_ipv6_prefix",
            unique=True,
            postgresql_where="status <> 'cancelled'",
        ),
        CheckConstraint("service IN ('hotspot', 'pppoe')", name="service"),
        CheckConstraint("length(username) BETWEEN 1 AND 64 AND username !~ '[[:cntrl:]]'", name="username"),
        CheckConstraint("status IN ('pending', 'active', 'suspended', 'cancelled')", name="status"),
        CheckConstraint("framed_ip_address IS NULL OR masklen(framed_ip_address) = 32", name="framed_ip_address"),
        CheckConstraint(
            "delegated_ipv6_prefix IS NULL OR family(delegated_ipv6_prefix) = 6", name="delegated_ipv6_prefix"
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    subscriber_id: Mapped[BigInt]
    plan_id: Mapped[BigInt]
    service: Mapped[String]
    username: Mapped[String]
    username_lower: Mapped[str] = mapped_column(Text, Computed("lower(username)", persisted=True), deferred=True)
    """Behind row-level security an index serves only leakproof functions, and lower() is none: so it is a column."""
    password_sealed: Mapped[Sealed]
    """Sealed for `subscription.password:<id>`. CHAP and MS-CHAP need the clear text, so a hash would not do."""
    status: Mapped[String] = mapped_column(server_default="active")
    activated_at: Mapped[Timestamp | None]
    """When the running validity began; None before the first login of a plan that counts from it."""
    expires_at: Mapped[Timestamp | None]
    framed_ip_address: Mapped[str | None] = mapped_column(INET)
    delegated_ipv6_prefix: Mapped[str | None] = mapped_column(CIDR)
    bind_mac: Mapped[bool] = mapped_column(Boolean, server_default="false")
    """Only the first device that logs in may use the account from then on (`bound_mac`)."""
    bound_mac: Mapped[str | None] = mapped_column(MACADDR)
    auto_renew: Mapped[bool] = mapped_column(Boolean, server_default="true")
    """Whether its expiry is answered from the subscriber's wallet, once per expiry."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class Device(Base):
    """A known device: it logs in to hotspots by its MAC address, under the one subscription it belongs to."""

    __tablename__ = "device"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "mac"),
        ForeignKeyConstraint(
            ["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"], ondelete="CASCADE"
        ),
        Index("device_tenant_id_subscription_id_idx", "tenant_id", "subscription_id"),
    )

    tenant_id: Mapped[TenantId]
    mac: Mapped[str] = mapped_column(MACADDR)
    subscription_id: Mapped[BigInt]
    created_at: Mapped[CreatedAt]


class SubscriptionRouter(Base):
    """A router that a subscription is valid on. Without such a row it is valid on all of its tenant's."""

    __tablename__ = "subscription_router"
    __table_args__ = (
        PrimaryKeyConstraint("subscription_id", "router_id"),
        ForeignKeyConstraint(
            ["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
    )

    tenant_id: Mapped[BigInt]
    subscription_id: Mapped[BigInt]
    router_id: Mapped[BigInt]
