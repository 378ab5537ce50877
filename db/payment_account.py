"""Payment accounts: a tenant's own paybill or till, and what it takes to use it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from secrets import token_hex
from typing import Any

from sqlalchemy import CheckConstraint, Index, LargeBinary, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.base import Base, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.money import Kes
from db.refusal import Invalid, NotFound
from isp.encryption import Keyring
from isp.public_address import why_not
from settings import Networks

CREDENTIALS = frozenset({"consumer_key", "consumer_secret", "passkey"})
"""What a Daraja account can not do without."""

# A token that ends while a request is under way would be refused.
_TOKEN_SPARE = timedelta(seconds=60)


class PaymentAccount(Base):
    __tablename__ = "payment_account"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("c2b_token_hash"),
        Index(
            "payment_account_tenant_id_name_key",
            "tenant_id",
            text("lower(name)"),
            unique=True,
            postgresql_where="disabled_at IS NULL",
        ),
        CheckConstraint("provider = 'daraja'", name="provider"),
        CheckConstraint("kind IN ('paybill', 'till')", name="kind"),
        CheckConstraint("(kind = 'till') = (till_number IS NOT NULL)", name="till_number_of_a_till"),
        CheckConstraint("shortcode ~ '^[0-9]{5,7}$'", name="shortcode"),
        CheckConstraint("till_number ~ '^[0-9]{5,7}$'", name="till_number"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint("confirm_above_kes >= 0", name="confirm_above"),
        CheckConstraint(r"local_url ~ '^http://127\.0\.0\.1:[0-9]+$'", name="local_url"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    provider: Mapped[String] = mapped_column(server_default="daraja")
    kind: Mapped[String]
    name: Mapped[String]
    shortcode: Mapped[String]
    """Of a till: its store or head office."""
    till_number: Mapped[String | None]
    base_url: Mapped[String | None]
    """Of the provider, where it is not the configured one: a sandbox, another gateway."""
    local_url: Mapped[String | None]
    """Of a gateway on this machine, which comes before all others and calls back on loopback. The API can not write it:
    only whoever runs the machine may send its workers there. Nobody is asked to pay at such an account by default."""
    credentials_sealed: Mapped[Sealed]
    """JSON, sealed for `payment_account.credentials:<id>`."""
    c2b_token_hash: Mapped[bytes] = mapped_column(LargeBinary)
    c2b_token_sealed: Mapped[Sealed]
    """In the path of the C2B webhooks; sealed for `payment_account.c2b_token:<id>`, so that it can be registered."""
    confirm_above_kes: Mapped[Kes | None]
    """A callback of more than this is believed only when a query says the same; None believes all."""
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[Timestamp | None]
    pull_registered_at: Mapped[Timestamp | None]
    """Since when the provider can be asked for all that was paid."""
    pulled_until: Mapped[Timestamp | None]
    """Until when it was asked for that."""
    oauth_token_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed for `payment_account.oauth_token:<id>`. All workers share it: a new one ends the one before."""
    oauth_expires_at: Mapped[Timestamp | None]


@dataclass(frozen=True, slots=True)
class NewPaymentAccount:
    kind: str
    name: str
    shortcode: str
    credentials: Mapping[str, str]
    till_number: str | None = None
    base_url: str | None = None
    confirm_above_kes: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OAuthToken:
    token: str
    expires_at: datetime


def token_hash(token: str) -> bytes:
    """All that is needed to know a webhook's token again."""
    return sha256(token.encode()).digest()


def create(session: Session, tenant_id: int, new: NewPaymentAccount, keyring: Keyring) -> PaymentAccount:
    """Raises Invalid if a credential is missing."""
    # Hexadecimal: M-Pesa refuses URLs with "cmd", "sql" and other words in them.
    token = token_hex(20)
    account = PaymentAccount(
        tenant_id=tenant_id,
        kind=new.kind,
        name=new.name,
        shortcode=new.shortcode,
        till_number=new.till_number,
        base_url=new.base_url,
        confirm_above_kes=new.confirm_above_kes,
        credentials_sealed=b"",
        c2b_token_hash=token_hash(token),
        c2b_token_sealed=b"",
    )
    session.add(account)
    session.flush()  # the id, which the secrets are sealed for
    _seal_credentials(account, new.credentials, keyring)
    account.c2b_token_sealed = keyring.seal(token, f"payment_account.c2b_token:{account.id}")
    session.flush()
    return account


def check_base_url(base_url: str | None, allowed: Networks) -> None:
    """Raises Invalid for one that no worker may go to. What its name leads to is looked at each time it is used."""
    if base_url is not None and (reason := why_not(base_url, allowed)) is not None:
        raise Invalid(reason, field="base_url")


def by_id(session: Session, account_id: int) -> PaymentAccount:
    """Raises NotFound."""
    return _found(session.get(PaymentAccount, account_id))


def all_accounts(session: Session) -> list[PaymentAccount]:
    """Those in use, by id: the first is the one that is used when nobody says which."""
    statement = select(PaymentAccount).where(PaymentAccount.disabled_at.is_(None))
    return list(session.scalars(statement.order_by(PaymentAccount.id)))


def at_local_gateway(
    session: Session, tenant_id: int, new: NewPaymentAccount, local_url: str, keyring: Keyring
) -> PaymentAccount:
    """The tenant's account of that name at a gateway on this machine, made if it is not there, and in use again.

    For the owner's role: no other may write where it is.
    """
    statement = select(PaymentAccount).where(PaymentAccount.tenant_id == tenant_id, PaymentAccount.name == new.name)
    mine = statement.where(PaymentAccount.local_url.is_not(None)).order_by(PaymentAccount.id)
    account = session.scalars(mine.limit(1).with_for_update()).first() or create(session, tenant_id, new, keyring)
    _seal_credentials(account, new.credentials, keyring)
    account.local_url, account.disabled_at = local_url, None
    account.oauth_token_sealed = account.oauth_expires_at = None
    session.flush()
    return account


def change(session: Session, account_id: int, values: Mapping[str, Any], keyring: Keyring) -> PaymentAccount:
    """Sets columns, and beside them `credentials` (those given; the others stay). Raises NotFound."""
    account = _found(session.get(PaymentAccount, account_id, with_for_update=True))
    columns = dict(values)
    changed = columns.pop("credentials", None)
    for name, value in columns.items():
        setattr(account, name, value)
    if changed:
        _seal_credentials(account, {**credentials(account, keyring), **changed}, keyring)
    if changed or "base_url" in columns:
        account.oauth_token_sealed = account.oauth_expires_at = None
    session.flush()
    return account


def disable(session: Session, account_id: int, now: datetime) -> None:
    """Nobody is asked to pay there any more; what still arrives is credited. Raises NotFound."""
    account = _found(session.get(PaymentAccount, account_id, with_for_update=True))
    account.disabled_at = account.disabled_at or now
    session.flush()


def note_pull_registered(session: Session, account_id: int, now: datetime) -> None:
    account = _found(session.get(PaymentAccount, account_id, with_for_update={"key_share": True}))
    account.pull_registered_at = account.pull_registered_at or now
    session.flush()


def note_pulled(session: Session, account_id: int, until: datetime) -> None:
    account = _found(session.get(PaymentAccount, account_id, with_for_update={"key_share": True}))
    account.pulled_until = until
    session.flush()


def to_pull(session: Session) -> list[PaymentAccount]:
    """Those whose provider can be asked for all that was paid: also disabled ones, which are still paid to."""
    return list(session.scalars(select(PaymentAccount).where(PaymentAccount.pull_registered_at.is_not(None))))


def credentials(account: PaymentAccount, keyring: Keyring) -> dict[str, str]:
    """In clear. Raises EncryptionError."""
    opened: dict[str, str] = json.loads(
        keyring.open(account.credentials_sealed, f"payment_account.credentials:{account.id}")
    )
    return opened


def c2b_token(account: PaymentAccount, keyring: Keyring) -> str:
    """For the URLs that are registered with the provider. Raises EncryptionError."""
    return keyring.open(account.c2b_token_sealed, f"payment_account.c2b_token:{account.id}")


def oauth_token(session: Session, account_id: int, keyring: Keyring, now: datetime) -> str | None:
    """The latest that anybody stored, if it holds for a minute after `now`. Raises EncryptionError."""
    account = session.get_one(PaymentAccount, account_id, populate_existing=True)
    if account.oauth_token_sealed is None or account.oauth_expires_at is None:
        return None
    if account.oauth_expires_at - now <= _TOKEN_SPARE:
        return None
    return keyring.open(account.oauth_token_sealed, f"payment_account.oauth_token:{account_id}")


def lock_oauth_token(session: Session, account_id: int) -> None:
    """Until the transaction ends nobody else fetches a token for this account: each new one ends the one before."""
    held.take_turn(session, "payment_account.oauth_token", account_id)


def store_oauth_token(session: Session, account_id: int, token: OAuthToken, keyring: Keyring) -> None:
    account = session.get_one(PaymentAccount, account_id)
    account.oauth_token_sealed = keyring.seal(token.token, f"payment_account.oauth_token:{account_id}")
    account.oauth_expires_at = token.expires_at
    session.flush()


def _seal_credentials(account: PaymentAccount, given: Mapping[str, str], keyring: Keyring) -> None:
    for name in sorted(CREDENTIALS):
        if not given.get(name):
            raise Invalid(f"A Daraja account needs {', '.join(sorted(CREDENTIALS))}.", field=name, code="required")
    account.credentials_sealed = keyring.seal(json.dumps(dict(given)), f"payment_account.credentials:{account.id}")


def _found(account: PaymentAccount | None) -> PaymentAccount:
    if account is None:
        raise NotFound("payment account")
    return account
