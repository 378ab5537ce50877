"""What the tests of the payments' API share: a tenant with a paybill over real HTTP, and the database behind it."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from db import payment_account, payment_intent
from isp.encryption import Keyring
from settings import Settings
from tests.integration.api_server import Client, api_of, shared_settings

PUBLIC_URL = "https://pay.example.net"
CREDENTIALS = {"consumer_key": "the-consumer-key", "consumer_secret": "the-consumer-secret", "passkey": "the-passkey"}

_phones = count(254_722_000_001)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Shop(Client):
    """A client whose tenant can be paid."""

    @property
    def keyring(self) -> Keyring:
        return Keyring.parse(self.settings.encryption_keys.reveal())

    def account(self, **changes: Any) -> Any:
        values = {"kind": "paybill", "name": f"Account {next(_numbers)}", "shortcode": "600000"}
        return self.made("/payment-accounts", **{**values, "credentials": CREDENTIALS, **changes})

    def asked(self, **changes: Any) -> Any:
        """An intent of a phone that nobody has asked before."""
        values = {"phone": phone(), **changes}
        if "plan_id" not in values:
            values["plan_id"] = self.plan()["id"]
        response = self.post("/payments/initiate", values)
        assert response.status_code == 202, response.text
        return response.json()

    def stk_token(self, intent_id: int) -> str:
        """Of an intent whose push is about to go out."""
        token = payment_intent.callback_token(intent_id, self.keyring)
        self.execute(
            "UPDATE payment_intent SET state = 'prompting', prompted_at = now(), callback_token_hash = %s"
            " WHERE id = %s",
            payment_account.token_hash(token),
            intent_id,
        )
        return token

    def c2b_token(self, account_id: int) -> str:
        sealed = self.rows("SELECT c2b_token_sealed AS sealed FROM payment_account WHERE id = %s", account_id)[0]
        return self.keyring.open(sealed["sealed"], f"payment_account.c2b_token:{account_id}")

    def in_suspense(self, amount_kes: str = "50") -> int:
        """The id of a payment that nobody is known to have made."""
        statement = (
            "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at, booked_at, state,"
            " suspense_reason) VALUES (%s, 'daraja', %s, %s, now(), now(), now(), 'suspense', 'unknown_account')"
            " RETURNING id"
        )
        values = (self.operator.tenant_id, f"S{next(_numbers):09}", amount_kes)
        return int(self.rows(statement, *values)[0]["id"])

    # The database, as its superuser sees it.

    def execute(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.settings.database_admin_dsn(self.settings.database_name)) as connection:
            connection.execute(statement, values)

    def rows(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        dsn = self.settings.database_admin_dsn(self.settings.database_name)
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            return connection.execute(statement, values).fetchall()

    def count(self, table: str) -> int:
        return int(self.rows(f"SELECT count(*) AS rows FROM {table}")[0]["rows"])

    def jobs(self, task: str) -> list[dict[str, Any]]:
        """What is to be done, as arguments."""
        return [row["args"] for row in self.rows("SELECT args FROM job WHERE task = %s ORDER BY id", task)]


def phone() -> str:
    """Of nobody yet."""
    return f"+{next(_phones)}"


@contextmanager
def shop_of(settings: Settings, **changes: Any) -> Iterator[Shop]:
    """The API, and a new tenant that can be paid at a paybill."""
    with api_of(replace(settings, **{"public_url": PUBLIC_URL, **changes})) as api:
        shop = Shop(api.http, api.operator, api.settings)
        shop.account(name="Main")
        yield shop


@contextmanager
def shared_shop(
    environ: Mapping[str, str], postgres: Settings, redis: Settings, template: str, directory: Path
) -> Iterator[Shop]:
    """For all tests of a module together."""
    environ = {**environ, "KIBALI_SERVER_ADDRESSES": "198.51.100.7"}
    with shared_settings(environ, postgres, redis, template, directory) as settings, shop_of(settings) as shop:
        yield shop


def error(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    answered: dict[str, str] = response.json()["error"]
    return answered


def at_once(*bodies: tuple[str, Any], shop: Shop, **headers: str) -> list[Any]:
    """Sends all in the same moment; the answers."""
    barrier = threading.Barrier(len(bodies))

    def send(what: tuple[str, Any]) -> Any:
        barrier.wait()
        return shop.request("POST", what[0], json=what[1], headers=headers)

    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(send, bodies))


def cash(shop: Shop, **changes: Any) -> dict[str, Any]:
    values = {"receipt": f"R-{uuid4().hex}", "amount_kes": "50", "subscriber_id": 0, **changes}
    return {**values, "subscriber_id": values["subscriber_id"] or shop.subscriber()["id"]}
