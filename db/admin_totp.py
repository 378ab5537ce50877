"""One-time passwords of admins, and the recovery codes of those who lost their phone."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.admin import Admin
from db.base import Base, CreatedAt, Sealed, TenantId, Timestamp
from db.refusal import Conflict, Invalid
from isp import credentials, totp
from isp.encryption import Keyring


class AdminTotp(Base):
    __tablename__ = "admin_totp"

    admin_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("admin.id"), primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId | None]
    secret_sealed: Mapped[Sealed]
    """Sealed for `admin_totp.secret:<admin_id>`."""
    created_at: Mapped[CreatedAt]
    confirmed_at: Mapped[Timestamp | None]
    """Until then it is asked for at no login."""
    last_step: Mapped[int | None] = mapped_column(BigInteger)
    """Of the last code that was used."""
    recovery_hashes: Mapped[list[bytes] | None] = mapped_column(ARRAY(LargeBinary))
    """HMAC-SHA-256 of the codes that are left: each is good once."""


def is_on(session: Session, admin_id: int) -> bool:
    return bool(session.scalar(select(AdminTotp.confirmed_at).where(AdminTotp.admin_id == admin_id)))


def enrol(session: Session, admin: Admin, keyring: Keyring) -> str:
    """A new secret, good for nothing until it is confirmed. Raises Conflict `totp_on`."""
    secret = totp.new_secret()
    values = {"tenant_id": admin.tenant_id, "secret_sealed": keyring.seal(secret, f"admin_totp.secret:{admin.id}")}
    statement = insert(AdminTotp).values(admin_id=admin.id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=["admin_id"], set_=values, where=AdminTotp.confirmed_at.is_(None)
    )
    if not session.scalars(statement.returning(AdminTotp.admin_id)).all():
        raise Conflict("One-time passwords are on already. Turn them off first.", code="totp_on")
    return secret


def confirm(session: Session, admin_id: int, code: str, keyring: Keyring, now: datetime) -> list[str]:
    """Turns them on; the recovery codes, in clear for the only time. Raises Conflict `totp_on`, `totp_off`, Invalid."""
    found = session.get(AdminTotp, admin_id, with_for_update=True)
    if found is None:
        raise Conflict("There is nothing to confirm. Ask for a secret first.", code="totp_off")
    if found.confirmed_at is not None:
        raise Conflict("One-time passwords are on already.", code="totp_on")
    step = totp.accepted_step(keyring.open(found.secret_sealed, f"admin_totp.secret:{admin_id}"), code, now)
    if step is None:
        raise Invalid("This is not the code that the app shows now. Is the phone's clock right?", field="code")
    codes = credentials.new_recovery_codes()
    found.confirmed_at, found.last_step = now, step
    found.recovery_hashes = [_digests(admin_id, each, keyring)[0] for each in codes]
    session.flush()
    return codes


def use(session: Session, admin_id: int, code: str, keyring: Keyring, now: datetime) -> bool:
    """Whether `code` is what the app shows, or a recovery code that is left; it is used up. True if none is asked for.

    Of any number at once that bring the same code, one succeeds.
    """
    found = session.get(AdminTotp, admin_id, with_for_update=True, populate_existing=True)
    if found is None or found.confirmed_at is None:
        return True
    secret = keyring.open(found.secret_sealed, f"admin_totp.secret:{admin_id}")
    step = totp.accepted_step(secret, code, now, found.last_step)
    if step is not None:
        found.last_step = step
        session.flush()
        return True
    for digest in _digests(admin_id, code, keyring):
        statement = (
            update(AdminTotp)
            .where(AdminTotp.admin_id == admin_id, literal(digest, LargeBinary) == func.any(AdminTotp.recovery_hashes))
            .values(recovery_hashes=func.array_remove(AdminTotp.recovery_hashes, literal(digest, LargeBinary)))
            .execution_options(synchronize_session=False)
        )
        if session.scalars(statement.returning(AdminTotp.admin_id)).all():
            return True
    return False


def turn_off(session: Session, admin_id: int) -> bool:
    """Whether they were on, or about to be."""
    found = session.scalar(select(AdminTotp.admin_id).where(AdminTotp.admin_id == admin_id))
    if found is not None:
        session.execute(delete(AdminTotp).where(AdminTotp.admin_id == admin_id))
    return found is not None


def _digests(admin_id: int, code: str, keyring: Keyring) -> list[bytes]:
    plain = "".join(code.lower().split()).replace("-", "")
    return keyring.digests(plain, f"admin_totp.recovery:{admin_id}")
