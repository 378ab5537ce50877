"""The data of a run: subscribers whose time is over, customers who are nobody yet, and prompts that wait for a PIN."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from typing import Any

import psycopg

from bench.kibali_tables import KibaliTables
from bench.population import Subscriber
from bench.rows import copy_rows
from bench.work import Size
from db import payment_account, payment_intent
from db.engine import make_engine, session_factory
from db.payment_account import NewPaymentAccount
from isp.encryption import Keyring
from isp.payment import new_account_reference
from settings import Settings
from tests.fakes.daraja_behaviour import Behaviour
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL
from tests.fakes.daraja_messages import new_receipt, new_request_ids, stk_callback

PRICE_KES = 1000  # of bench/kibali_tables.py

# What has to be empty after a run.
_FAULTS = {
    "payments that nobody credited": "SELECT id FROM payment WHERE state <> 'applied'",
    "intents that were paid and got nothing": (
        "SELECT id FROM payment_intent WHERE state = 'paid' AND fulfilled_at IS NULL"
    ),
    "intents with more or fewer validities than one": (
        "SELECT p.intent_id FROM payment p LEFT JOIN renewal r ON r.payment_id = p.id"
        " GROUP BY p.intent_id HAVING count(r.id) <> 1"
    ),
    "postings that do not balance": "SELECT posting_id FROM ledger_entry GROUP BY 1 HAVING sum(amount_kes) <> 0",
    "wallets that hold something": "SELECT subscriber_id FROM wallet WHERE balance_kes <> 0",
    "webhooks that were not applied": "SELECT id FROM webhook_inbox WHERE outcome NOT IN ('applied', 'duplicate')",
    "jobs that failed": "SELECT id FROM job WHERE state = 'failed'",
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A customer who is about to pay: an old one (`subscriber`) for their subscription, or a new one."""

    intent_id: int
    path: str
    body: dict[str, Any]
    mac: str
    subscriber: Subscriber | None


@dataclass
class PaymentBooks:
    settings: Settings
    subscribers: int
    _tenant_id: int = 0
    _account_id: int = 0
    _plan_id: int = 0
    _last_id: int = 0

    @cached_property
    def _keyring(self) -> Keyring:
        return Keyring.parse(self.settings.encryption_keys.reveal())

    @cached_property
    def _tables(self) -> KibaliTables:
        return KibaliTables(self.settings, Size(self.subscribers, 0))

    def fill(self) -> None:
        self._tables.fill()
        with self.connection() as connection:
            (self._tenant_id, self._plan_id) = connection.execute(
                "SELECT tenant_id, min(id) FROM plan GROUP BY 1"
            ).fetchone() or (0, 0)
            connection.execute(
                "CREATE TABLE bare_webhook (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea)"
            )
        engine = make_engine(self.settings, "owner", pool_size=1)
        credentials = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}
        new = NewPaymentAccount("paybill", "Main", PAYBILL, credentials, base_url="http://127.0.0.1:9")
        with session_factory(engine).begin() as session:
            self._account_id = payment_account.create(session, self._tenant_id, new, self._keyring).id
        engine.dispose()

    def connection(self) -> psycopg.Connection:
        return self._tables.connection()

    def reset(self) -> None:
        """As before the first run; the time of all subscribers is over."""
        with self.connection() as connection:
            connection.execute(
                "TRUNCATE payment_intent, payment, ledger_posting, ledger_entry, wallet, renewal, webhook_inbox, job,"
                " event, auth_log, session, bare_webhook RESTART IDENTITY CASCADE"
            )
            connection.execute("DELETE FROM device")
            connection.execute("DELETE FROM usage WHERE subscription_id > %s", (self.subscribers,))
            connection.execute("DELETE FROM subscription WHERE id > %s", (self.subscribers,))
            connection.execute("DELETE FROM subscriber WHERE id > %s", (self.subscribers,))
            for table in ("subscriber", "subscription"):
                connection.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), %s)".encode(), (self.subscribers,)
                )
            connection.execute(
                "UPDATE subscription SET expires_at = now() - interval '1 day', plan_id = %s", (self._plan_id,)
            )
        with self.connection() as connection:
            connection.execute("VACUUM ANALYZE")

    def prompts(self, number: int) -> list[Prompt]:
        """So many; every other customer is new."""
        made = list(self._make(number))
        now = datetime.now(UTC)
        rows = (
            {
                "id": prompt.intent_id,
                "tenant_id": self._tenant_id,
                "payment_account_id": self._account_id,
                "plan_id": self._plan_id,
                "subscriber_id": prompt.subscriber.subscription_id if prompt.subscriber else None,
                "subscription_id": prompt.subscriber.subscription_id if prompt.subscriber else None,
                "msisdn": self._msisdn(prompt.intent_id),
                "mac": prompt.mac,
                "amount_kes": PRICE_KES,
                "price_kes": PRICE_KES,
                "account_reference": new_account_reference(),
                "callback_token_hash": payment_account.token_hash(prompt.path.rpartition("/")[2]),
                "state": "prompted",
                "merchant_request_id": prompt.body["Body"]["stkCallback"]["MerchantRequestID"],
                "checkout_request_id": prompt.body["Body"]["stkCallback"]["CheckoutRequestID"],
                "prompted_at": now,
            }
            for prompt in made
        )
        with self.connection() as connection:
            copy_rows(connection, "payment_intent", rows)
        with self.connection() as connection:
            connection.execute("ANALYZE payment_intent")
        return made

    def applied(self) -> int:
        with self.connection() as connection:
            (number,) = connection.execute("SELECT count(*) FROM payment WHERE state = 'applied'").fetchone() or (0,)
        return int(number)

    def fault(self, paid: int) -> str:
        """What is wrong with the books after so many payments; empty if nothing."""
        with self.connection() as connection:
            for what, query in _FAULTS.items():
                found = connection.execute(query.encode()).fetchall()
                if found:
                    return f"{what}: {len(found)}"
            query = "SELECT count(*), count(DISTINCT intent_id), coalesce(sum(amount_kes), 0) FROM payment"
            (rows, intents, kes) = connection.execute(query).fetchone() or (0, 0, 0)
            if (rows, intents, kes) != (paid, paid, paid * PRICE_KES):
                return f"{paid} customers paid; there are {rows} payments of {intents} intents, {kes} KES"
            (booked,) = connection.execute(
                "SELECT coalesce(-sum(amount_kes), 0) FROM ledger_entry WHERE account = 'mpesa'"
            ).fetchone() or (0,)
            if booked != paid * PRICE_KES:
                return f"the ledger has received {booked} KES in place of {paid * PRICE_KES}"
        return ""

    def _make(self, number: int) -> Iterator[Prompt]:
        # Even subscribers are those of the hotspot.
        old = (Subscriber(each) for each in count(0, 2))
        now = datetime.now(UTC)
        for at in range(number):
            self._last_id += 1
            intent_id = self._last_id
            ids = new_request_ids(now)
            msisdn = self._msisdn(intent_id)
            body = stk_callback(ids, 0, (new_receipt(), PRICE_KES, msisdn, now), Behaviour())
            subscriber = next(old) if at % 2 else None
            mac = subscriber.mac if subscriber else "06:00:" + ":".join(f"{byte:02X}" for byte in intent_id.to_bytes(4))
            token = payment_intent.callback_token(intent_id, self._keyring)
            yield Prompt(intent_id, f"/webhooks/daraja/stk/{token}", body, mac, subscriber)

    def _msisdn(self, intent_id: int) -> str:
        return f"2547{intent_id:08d}"
