"""How the fake Daraja treats one STK push: what it answers, what the customer does, what is told afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

AnswerKind = Literal[
    "accepted", "server_error", "html", "empty", "not_an_object", "silence", "hang_up", "busy", "quota", "locked"
]
REFUSING = ("busy", "quota", "locked")

MsisdnForm = Literal["masked", "hashed", "plain"]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """As it stands: accepted, paid at once, called back once."""

    answer: AnswerKind = "accepted"
    """To the push. Of those in REFUSING no customer hears."""
    busy_pushes: int = 0
    """So many pushes are turned away as busy before one is taken."""
    prompted: bool = True
    """Whether the customer is prompted, whatever we are answered."""
    result_code: int = 0
    """0: the customer pays."""
    decides_after_s: float = 0.05
    """After the push. Until then, queries say pending."""
    pays_kes: int | None = None
    """What the customer pays, if not what was asked."""

    deliveries: int = 1
    """Of the callback; 0: it never comes."""
    delivered_after_s: float = 0.0
    """After the customer has decided."""
    between_deliveries_s: float = 0.0
    before_the_answer: bool = False
    """The first callback is delivered before the push is answered."""
    tries: int = 1
    """How often a callback is sent that is not answered with 200, two seconds apart."""
    loss: float = 0.0
    """Probability that a delivery is lost."""
    balance: Literal["without_value", "with_value", "absent"] = "without_value"
    masked_phone: bool = False

    then_result_code: int | None = None
    """A second, different end: 1037, then 0."""
    then_after_s: float = 0.1

    pending_queries: int = 0
    """How many queries say pending although the customer has decided."""
    query_result_code: int | None = None
    """What queries say then, if not the truth."""

    also_c2b: bool = False
    """The payment is told as a C2B confirmation too, with the same receipt."""
    c2b_msisdn: MsisdnForm = "masked"


PRESETS: dict[str, Behaviour] = {
    "paid": Behaviour(),
    "insufficient_balance": Behaviour(result_code=1),
    "expired": Behaviour(result_code=1019),
    "cancelled": Behaviour(result_code=1032),
    "unreachable": Behaviour(result_code=1037),
    "wrong_pin": Behaviour(result_code=2001),
    "unknown_code": Behaviour(result_code=31337),
    "never_calls_back": Behaviour(deliveries=0),
    "never_calls_back_and_cancelled": Behaviour(result_code=1032, deliveries=0),
    "calls_back_before_the_answer": Behaviour(before_the_answer=True),
    "delayed": Behaviour(delivered_after_s=5.0),
    "five_times": Behaviour(deliveries=5),
    "paid_after_1037": Behaviour(result_code=1037, then_result_code=0),
    "failed_after_paid": Behaviour(then_result_code=1032),
    "pays_less": Behaviour(pays_kes=1),
    "balance_with_value": Behaviour(balance="with_value"),
    "masked_phone": Behaviour(masked_phone=True),
    "pending_then_paid": Behaviour(deliveries=0, pending_queries=2),
    "query_says_cancelled": Behaviour(query_result_code=1032),
    "query_says_paid": Behaviour(result_code=1032, query_result_code=0),
    "server_error": Behaviour(answer="server_error", prompted=False),
    "server_error_but_paid": Behaviour(answer="server_error"),
    "html": Behaviour(answer="html", prompted=False),
    "empty": Behaviour(answer="empty", prompted=False),
    "silence_but_paid": Behaviour(answer="silence"),
    "hang_up_but_paid": Behaviour(answer="hang_up"),
    "busy": Behaviour(answer="busy"),
    "quota": Behaviour(answer="quota"),
    "locked": Behaviour(answer="locked"),
    "also_c2b": Behaviour(also_c2b=True),
    "also_c2b_hashed": Behaviour(also_c2b=True, c2b_msisdn="hashed"),
}


def phone_of(preset: str) -> str:
    """The phone that behaves so from the start: 254700000000 for the first preset, and so on."""
    return f"2547000000{list(PRESETS).index(preset):02}"


def behaviour_of(told: Mapping[str, Any]) -> Behaviour:
    """From JSON: `{"preset": "cancelled", "deliveries": 3}`. Raises ValueError for a name that does not exist."""
    changes = dict(told)
    preset = changes.pop("preset", "paid")
    unknown = changes.keys() - {spec.name for spec in fields(Behaviour)}
    if preset not in PRESETS or unknown:
        raise ValueError(f"no such preset or field: {', '.join(sorted(unknown)) or preset}")
    return replace(PRESETS[preset], **changes)


@dataclass
class Behaviours:
    """Which push is treated how: by its phone, else by its amount, else as all others."""

    by_phone: dict[str, Behaviour] = field(default_factory=lambda: {phone_of(name): PRESETS[name] for name in PRESETS})
    by_amount: dict[int, Behaviour] = field(default_factory=dict)
    default: Behaviour = PRESETS["paid"]

    def choose(self, msisdn: str, amount_kes: int) -> Behaviour:
        return self.by_phone.get(msisdn) or self.by_amount.get(amount_kes) or self.default
