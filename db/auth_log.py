"""Every answered Access-Request: who, from where, how it was decided and why. Partitioned by month."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import MACADDR
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigInt, Json, String


class AuthLog(Base):
    __tablename__ = "auth_log"
    __table_args__ = (
        PrimaryKeyConstraint("logged_at", "id"),
        Index("auth_log_tenant_id_logged_at_idx", "tenant_id", "logged_at"),
        Index("auth_log_subscription_id_logged_at_idx", "subscription_id", "logged_at"),
        CheckConstraint("result IN ('accept', 'reject')", name="result"),
        {"postgresql_partition_by": "RANGE (logged_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    logged_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    tenant_id: Mapped[BigInt]
    router_id: Mapped[BigInt]
    subscription_id: Mapped[BigInt | None]
    username: Mapped[String]
    calling_station_id: Mapped[str | None] = mapped_column(MACADDR)
    service: Mapped[String]
    result: Mapped[String]
    reason: Mapped[String]
    """A code of isp/reasons.py, `ok` for a plain accept."""
    detail: Mapped[Json]
    """The values the decision rested on."""
