"""Sessions: the open and just-closed ones in a small hot table, the rest in monthly partitions.

Usage: every accounting packet adds what its session's counters gained since the packet before (`gained_*`), to the
subscription's total and to its day. Nothing is ever summed over history.
"""

from datetime import date
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import CIDR, INET, MACADDR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigInt, Counter, String, Timestamp


class SessionColumns:
    """What is known of a session. Octets as the subscriber sees them: `input` is the upload (RFC 2866)."""

    tenant_id: Mapped[BigInt]
    router_id: Mapped[BigInt]
    subscription_id: Mapped[BigInt | None]
    """None if the router let somebody in whom we do not know."""
    service: Mapped[String]
    username: Mapped[String]
    acct_session_id: Mapped[String]
    radius_class: Mapped[String | None]
    calling_station_id: Mapped[str | None] = mapped_column(MACADDR)
    called_station_id: Mapped[String | None]
    nas_ip_address: Mapped[str | None] = mapped_column(INET)
    nas_port: Mapped[BigInt | None]
    nas_port_id: Mapped[String | None]
    framed_ip_address: Mapped[str | None] = mapped_column(INET)
    framed_ipv6_prefix: Mapped[str | None] = mapped_column(CIDR)
    delegated_ipv6_prefix: Mapped[str | None] = mapped_column(CIDR)
    interim_interval_s: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[Timestamp]
    last_seen_at: Mapped[Timestamp]
    """Time of the newest packet, by the router's account of it."""
    stopped_at: Mapped[Timestamp | None]
    stop_received: Mapped[bool] = mapped_column(Boolean, server_default="false")
    """The router said it is over. If only we think so, the next packet re-opens it."""
    terminate_cause: Mapped[String | None]
    session_time_s: Mapped[Counter]
    input_octets: Mapped[Counter]
    output_octets: Mapped[Counter]


class RadiusSession(SessionColumns, Base):
    """The hot table. No index covers a column that an Interim-Update changes, so those updates stay on their page."""

    __tablename__ = "session"
    __table_args__ = (
        PrimaryKeyConstraint("session_key"),
        Index("session_subscription_id_idx", "subscription_id", postgresql_where="stopped_at IS NULL"),
        Index("session_router_id_nas_port_idx", "router_id", "nas_port", postgresql_where="stopped_at IS NULL"),
        Index("session_tenant_id_started_at_idx", "tenant_id", "started_at"),
        Index("session_stopped_at_idx", "stopped_at", postgresql_where="stopped_at IS NOT NULL"),
        CheckConstraint("input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name="counters"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    session_key: Mapped[UUID] = mapped_column(Uuid)
    gained_input_octets: Mapped[Counter]
    """What the last packet added: written by the update that compares, so that two packets can not both count it."""
    gained_output_octets: Mapped[Counter]
    gained_session_time_s: Mapped[Counter]


class SessionHistory(SessionColumns, Base):
    """Closed sessions, partitioned by the month of `stopped_at`."""

    __tablename__ = "session_history"
    __table_args__ = (
        PrimaryKeyConstraint("session_key", "stopped_at"),
        Index("session_history_tenant_id_started_at_idx", "tenant_id", "started_at"),
        Index("session_history_subscription_id_started_at_idx", "subscription_id", "started_at"),
        Index("session_history_router_id_started_at_idx", "router_id", "started_at"),
        # Of those whom a router let in without us, and of nobody else: so that `why` finds them, at next to no cost.
        Index(
            "session_history_tenant_id_stopped_at_idx",
            "tenant_id",
            "stopped_at",
            postgresql_where="subscription_id IS NULL",
        ),
        {"postgresql_partition_by": "RANGE (stopped_at)"},
    )

    session_key: Mapped[UUID] = mapped_column(Uuid)


class Usage(Base):
    """Running totals of a subscription, and what they were when its validity and its plan's period last began."""

    __tablename__ = "usage"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"], ondelete="CASCADE"
        ),
        CheckConstraint("input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name="counters"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    subscription_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[BigInt]
    input_octets: Mapped[Counter]
    output_octets: Mapped[Counter]
    session_time_s: Mapped[Counter]
    validity_input_octets: Mapped[Counter]
    """`input_octets` as the running validity began; the difference is what it has used."""
    validity_output_octets: Mapped[Counter]
    validity_session_time_s: Mapped[Counter]
    period_began: Mapped[date | None] = mapped_column(Date)
    """The day that the next three are of; None where nothing is noted (db/usage_period.py)."""
    period_input_octets: Mapped[Counter]
    """`input_octets` as that day began: the difference is the sum of the days since."""
    period_output_octets: Mapped[Counter]
    period_session_time_s: Mapped[Counter]


class UsageDay(Base):
    """Usage per local day of the tenant: the ground of daily, weekly and monthly limits, and of graphs."""

    __tablename__ = "usage_day"
    __table_args__ = (
        PrimaryKeyConstraint("subscription_id", "day"),
        Index("usage_day_tenant_id_day_idx", "tenant_id", "day"),
        CheckConstraint("input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name="counters"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    subscription_id: Mapped[BigInt]
    day: Mapped[date] = mapped_column(Date)
    tenant_id: Mapped[BigInt]
    input_octets: Mapped[Counter]
    output_octets: Mapped[Counter]
    session_time_s: Mapped[Counter]
