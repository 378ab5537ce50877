"""What happens in one run, made of its seed alone: who pays when, how M-Pesa tells it, what is killed meanwhile."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAYMENTS_PER_S = 12.0
PRICES_KES = (20, 50, 100)

# Of everything that may befall a payment: how often of a hundred, and how the fake behaves then.
STORIES: dict[str, tuple[int, Mapping[str, Any]]] = {
    "paid": (24, {}),
    "doubled": (8, {"deliveries": 3, "between_deliveries_s": 0.2}),
    "doubled at once": (5, {"deliveries": 4}),
    "delayed": (8, {"delivered_after_s": 8.0}),
    "lost": (10, {"deliveries": 0}),
    "mostly lost": (4, {"deliveries": 3, "loss": 0.7, "between_deliveries_s": 0.5}),
    "sent until it is answered": (2, {"tries": 10, "loss": 0.0}),
    "lost, and pending for two queries": (3, {"deliveries": 0, "pending_queries": 2}),
    "before the answer": (6, {"before_the_answer": True}),
    "before the answer, twice": (2, {"before_the_answer": True, "deliveries": 2}),
    "success after failure": (4, {"result_code": 1037, "then_result_code": 0, "then_after_s": 0.3}),
    "success long after failure": (3, {"result_code": 1032, "then_result_code": 0, "then_after_s": 5.0}),
    "failure after success": (4, {"then_result_code": 1032, "then_after_s": 0.2}),
    "a query says failed": (3, {"query_result_code": 1032, "delivered_after_s": 7.0}),
    "told by C2B too": (4, {"also_c2b": True}),
    "told by C2B too, hashed": (2, {"also_c2b": True, "c2b_msisdn": "hashed", "masked_phone": True}),
    "the push fails with HTTP 500, and is paid": (2, {"answer": "server_error"}),
    "the push is answered with HTML, and is paid": (2, {"answer": "html"}),
    "the push is cut off, and is paid": (2, {"answer": "hang_up"}),
    "the push is cut off, and is paid, and nobody tells": (1, {"answer": "hang_up", "deliveries": 0}),
    "busy at first": (1, {"busy_pushes": 1}),
    "HTTP 500, and nobody is prompted": (1, {"answer": "server_error", "prompted": False}),
    "cancelled": (3, {"result_code": 1032}),
    "a wrong PIN": (2, {"result_code": 2001, "deliveries": 2}),
    "no money": (2, {"result_code": 1}),
    "cancelled, and lost": (2, {"result_code": 1032, "deliveries": 0}),
}

# What goes wrong on our side; how many seconds lie between two, on average; and how often at least in any run.
FAULTS: dict[str, tuple[float, int]] = {
    "kill a payment worker": (2.0, 4),
    "kill all payment workers": (12.0, 1),
    "kill the API": (10.0, 2),
    "kill the sweep": (20.0, 1),
    "kill Redis": (25.0, 1),
    "empty Redis and kill it": (25.0, 1),
    "restart PostgreSQL": (20.0, 2),
    "invalidate the token": (4.0, 3),
}


@dataclass(frozen=True, slots=True)
class Customer:
    number: int
    at_s: float
    """When they ask to pay, after the beginning."""
    price_kes: int
    story: str

    @property
    def phone(self) -> str:
        return f"2547{20_000_000 + self.number}"

    @property
    def behaviour(self) -> Mapping[str, Any]:
        return STORIES[self.story][1]


@dataclass(frozen=True, slots=True)
class Fault:
    at_s: float
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    customers: tuple[Customer, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int, payments: int) -> Plan:
    chosen = random.Random(seed)
    lasts_s = payments / PAYMENTS_PER_S
    stories, weights = list(STORIES), [weight for weight, _ in STORIES.values()]
    told = chosen.choices(stories, weights, k=payments)
    customers = (
        Customer(number, chosen.uniform(0, lasts_s), chosen.choice(PRICES_KES), told[number])
        for number in range(payments)
    )
    faults = (
        Fault(chosen.uniform(1.0, lasts_s + 3.0), what)
        for what, (every_s, at_least) in FAULTS.items()
        for _ in range(max(at_least, round(lasts_s / every_s)))
    )
    return Plan(
        seed,
        tuple(sorted(customers, key=lambda each: each.at_s)),
        tuple(sorted(faults, key=lambda each: each.at_s)),
    )
