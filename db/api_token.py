"""API tokens: what programs authenticate with. db/admin.py makes them, and knows them again."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import NotFound


class ApiToken(Base):
    """A bearer token. Only its SHA-256 is kept: 256 random bits need no slow hash."""

    __tablename__ = "api_token"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId | None]
    admin_id: Mapped[BigInt] = mapped_column(ForeignKey("admin.id"), index=True)
    name: Mapped[String]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    """Written and never read: only `authenticate_token` sees it."""
    scopes: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    """What it is limited to, such as `payments:write`; None is all that its admin may."""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Timestamp | None]
    last_used_at: Mapped[Timestamp | None]
    revoked_at: Mapped[Timestamp | None]


SORTS = {"id": Sort(ApiToken.id, int)}


def page(
    session: Session, request: PageRequest, *, admin_id: int | None = None, revoked: bool = False
) -> Page[ApiToken]:
    statement = select(ApiToken).where(ApiToken.revoked_at.is_not(None) if revoked else ApiToken.revoked_at.is_(None))
    if admin_id is not None:
        statement = statement.where(ApiToken.admin_id == admin_id)
    return one_page(session, statement, ApiToken.id, SORTS, request, lambda row: row.ApiToken)


def revoke(session: Session, token_id: int, now: datetime, *, of_admin: int | None = None) -> ApiToken:
    """`of_admin` None is anybody's. Raises NotFound."""
    token = session.get(ApiToken, token_id, with_for_update=True)
    if token is None or of_admin not in (None, token.admin_id):
        raise NotFound("API token")
    token.revoked_at = token.revoked_at or now
    session.flush()
    return token
