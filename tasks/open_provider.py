"""From a payment account's row to its provider, ready to be asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

import httpx
from sqlalchemy.orm import Session, sessionmaker

from db import payment_account
from db.payment_account import OAuthToken, PaymentAccount
from isp.daraja import Merchant
from isp.encryption import Keyring
from settings import Networks, Secret, Settings
from tasks.daraja import PRODUCTION_URL, Credentials, Daraja
from tasks.daraja_http import make_http
from tasks.daraja_provider import DarajaProvider
from tasks.daraja_token import Token
from tasks.payment_provider import PaymentProvider
from tasks.public_http import PublicOnly


def open_provider(
    account: PaymentAccount, keyring: Keyring, settings: Settings, sessions: sessionmaker[Session]
) -> PaymentProvider:
    """Raises EncryptionError. `sessions` are for the token that all workers share."""
    return DarajaProvider(open_daraja(account, keyring, settings, sessions), _now)


def open_daraja(
    account: PaymentAccount, keyring: Keyring, settings: Settings, sessions: sessionmaker[Session]
) -> Daraja:
    """The client itself, for what only Daraja has: registering URLs, trying out credentials."""
    given = payment_account.credentials(account, keyring)
    merchant = Merchant(
        kind="till" if account.kind == "till" else "paybill",
        shortcode=account.shortcode,
        passkey=given["passkey"],
        till_number=account.till_number,
    )
    # Where an account of its own accord leads is for a tenant to say, and so not to be trusted.
    is_named_by_tenant = account.local_url is None and account.base_url is not None
    return Daraja(
        _public_http(settings.gateway_networks) if is_named_by_tenant else _http(),
        account.local_url or account.base_url or settings.daraja_url or PRODUCTION_URL,
        Credentials(given["consumer_key"], Secret(given["consumer_secret"])),
        merchant,
        AccountTokens(account.id, keyring, sessions),
    )


class AccountTokens:
    """A TokenStore in the account's row, locked by PostgreSQL for all workers and machines."""

    def __init__(self, account_id: int, keyring: Keyring, sessions: sessionmaker[Session]) -> None:
        self._account_id = account_id
        self._keyring = keyring
        self._sessions = sessions
        self._locked: Session | None = None

    def get(self, now: datetime) -> Secret | None:
        with self._session() as session:
            token = payment_account.oauth_token(session, self._account_id, self._keyring, now)
        return Secret(token) if token else None

    def put(self, token: Token) -> None:
        made = OAuthToken(token.value.reveal(), token.expires_at)
        with self._session() as session:
            payment_account.store_oauth_token(session, self._account_id, made, self._keyring)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One transaction: what is put in it is seen by all in the moment in which the lock is free."""
        with self._sessions.begin() as session:
            payment_account.lock_oauth_token(session, self._account_id)
            self._locked = session
            try:
                yield
            finally:
                self._locked = None

    @contextmanager
    def _session(self) -> Iterator[Session]:
        if self._locked is not None:
            yield self._locked
        else:
            with self._sessions.begin() as session:
                yield session


@cache
def _http() -> httpx.Client:
    return make_http()


@cache
def _public_http(allowed: Networks) -> httpx.Client:
    return make_http(transport=PublicOnly(allowed))


def _now() -> datetime:
    return datetime.now(UTC)
