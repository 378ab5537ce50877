"""M-Pesa's truth against our books: who paid what, and what became of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from settings import Settings
from tests.chaos.plan import Customer, Plan

_INTENTS = """
SELECT i.id, i.state, i.account_reference, i.msisdn, i.amount_kes, i.price_kes, i.subscription_id, i.note,
       (SELECT jsonb_agg(jsonb_build_object('state', p.state, 'receipt', p.receipt, 'amount', p.amount_kes::text))
          FROM payment p WHERE p.intent_id = i.id) AS payments,
       (SELECT count(*) FROM renewal r JOIN payment p ON p.id = r.payment_id
         WHERE p.intent_id = i.id AND r.reversed_at IS NULL) AS validities,
       (SELECT string_agg(coalesce(w.outcome, 'waiting'), ' ' ORDER BY w.id) FROM webhook_inbox w
         WHERE w.intent_id = i.id) AS webhooks,
       (SELECT string_agg(format('%%s:%%s:%%s', j.task, j.state, j.attempts), ' ' ORDER BY j.id) FROM job j
         WHERE (j.args ->> 'intent_id')::bigint = i.id) AS jobs
  FROM payment_intent i WHERE i.tenant_id = %s"""

# What has to be empty, whoever paid.
_NEVER = {
    "postings that do not balance": "SELECT posting_id FROM ledger_entry GROUP BY 1 HAVING sum(amount_kes) <> 0",
    "payments that were credited twice": (
        "SELECT payment_id FROM ledger_posting WHERE kind = 'payment' GROUP BY 1 HAVING count(*) > 1"
    ),
    "payments that nobody credited": "SELECT id, state FROM payment WHERE state = 'received'",
    "wallets that are not the sum of their entries": (
        "SELECT w.subscriber_id FROM wallet w WHERE w.balance_kes <>"
        " (SELECT coalesce(sum(e.amount_kes), 0) FROM ledger_entry e WHERE e.subscriber_id = w.subscriber_id)"
    ),
    "receipts of two payments": (
        "SELECT receipt FROM payment WHERE state <> 'merged' AND receipt IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
    ),
    "phones of two subscribers": "SELECT msisdn FROM subscriber GROUP BY tenant_id, msisdn HAVING count(*) > 1",
    "webhooks that nobody read": "SELECT id FROM webhook_inbox WHERE outcome IS NULL",
    "webhooks that were refused": (
        "SELECT id, outcome, error FROM webhook_inbox WHERE outcome IN ('unreadable', 'mismatch', 'conflict')"
    ),
    "jobs that are stuck": (
        "SELECT id, task, state, attempts, error FROM job WHERE queue = 'payments' AND state IN ('pending', 'running')"
    ),
    "jobs that failed": "SELECT id, task, args, attempts, error FROM job WHERE state = 'failed'",
    "money in suspense": "SELECT id, receipt, amount_kes FROM payment WHERE state = 'suspense'",
}


@dataclass(frozen=True, slots=True)
class Books:
    """As the owner of the tables sees them."""

    settings: Settings
    tenant_id: int

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        dsn = self.settings.database_dsn("owner")
        with psycopg.connect(dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def unsettled(self) -> int:
        """Intents that may still become something, and jobs of payments that are to be run."""
        (row,) = self.rows(
            "SELECT (SELECT count(*) FROM payment_intent"
            "         WHERE state IN ('initiated', 'prompting', 'prompted') OR next_query_at IS NOT NULL)"
            "     + (SELECT count(*) FROM job WHERE queue = 'payments' AND state IN ('pending', 'running')) AS left"
        )
        return int(row["left"])

    def differences(self, plan: Plan, intent_of: Mapping[int, int], truth: Mapping[str, Any]) -> Iterator[str]:
        """One line for each thing that is not as it should be. `truth`: the fake Daraja's state."""
        intents = {row["id"]: row for row in self.rows(_INTENTS, self.tenant_id)}
        paid = {told["account_reference"]: told for told in truth["payments"]}
        if len(intents) != len(plan.customers):
            yield f"{len(plan.customers)} customers asked; there are {len(intents)} intents"
        prompts = Counter(told["account_reference"] for told in truth["prompts"])
        yield from (f"{reference} was prompted {number} times" for reference, number in prompts.items() if number > 1)
        for customer in plan.customers:
            intent = intents.get(intent_of.get(customer.number, 0))
            if intent is None:
                yield f"customer {customer.number} ({customer.story}) has no intent"
            else:
                difference = _difference(customer, intent, paid.get(intent["account_reference"]))
                if difference:
                    yield f"customer {customer.number} ({customer.story}): {difference}; {intent}"
        received = sum((Decimal(told["amount_kes"]) for told in truth["payments"]), Decimal(0))
        (booked,) = self.rows("SELECT coalesce(-sum(amount_kes), 0) AS kes FROM ledger_entry WHERE account = 'mpesa'")
        if booked["kes"] != received:
            yield f"customers paid {received} KES; the ledger has received {booked['kes']}"
        for what, query in _NEVER.items():
            if found := self.rows(query):
                yield f"{what}: {len(found)}, such as {found[:3]}"


def _difference(customer: Customer, intent: Mapping[str, Any], paid: Mapping[str, Any] | None) -> str:
    payments = intent["payments"] or []
    if paid is None:
        if payments or intent["state"] == "paid" or intent["validities"] or intent["subscription_id"]:
            return "did not pay, and was credited"
        return ""
    if len(payments) != 1:
        return f"paid once, and has {len(payments)} payments"
    (payment,) = payments
    if payment["state"] != "applied" or Decimal(payment["amount"]) != paid["amount_kes"]:
        return f"paid {paid['amount_kes']} KES"
    if payment["receipt"] != paid["receipt"]:
        return f"has the receipt {paid['receipt']}"
    if (intent["state"], intent["validities"]) != ("paid", 1) or not intent["subscription_id"]:
        return f"paid, and got {intent['validities']} validities"
    return ""
