"""The life of an intent: each state against each piece of evidence, as rows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.daraja import FORBIDDEN_IN_URLS
from isp.encryption import Keyring
from isp.payment import (
    QUERY_AFTER_S,
    Accepted,
    Failed,
    IntentState,
    Paid,
    Pending,
    PushOutcome,
    QueryOutcome,
    Rejected,
    Unanswered,
    Unknown,
    Verdict,
    after_callback,
    after_push,
    after_query,
    amount_to_ask_for,
    description_of,
    new_account_reference,
    next_query_at,
    normal_account_reference,
    prompt_again_at,
)
from settings import Settings

INITIATED, PROMPTING, PROMPTED = IntentState.INITIATED, IntentState.PROMPTING, IntentState.PROMPTED
PAID, FAILED, UNKNOWN = IntentState.PAID, IntentState.FAILED, IntentState.UNKNOWN

ACCEPTED = Accepted("m", "c")
BUSY = Rejected("500.003.02", "busy", permanent=False)
WRONG = Rejected("400.002.02", "bad field", permanent=True)
SILENCE = Unanswered("time-out")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("outcome", "is_last_attempt", "after"),
    [
        (ACCEPTED, False, PROMPTED),
        (WRONG, False, FAILED),
        (BUSY, False, INITIATED),
        (BUSY, True, FAILED),
        (SILENCE, False, PROMPTING),
        (SILENCE, True, PROMPTING),
    ],
)
def test_a_prompt_is_what_the_provider_made_of_it(
    outcome: PushOutcome, is_last_attempt: bool, after: IntentState
) -> None:
    assert after_push(PROMPTING, outcome, is_last_attempt=is_last_attempt) is after


@pytest.mark.parametrize(
    ("state", "outcome"),
    list(product(set(IntentState) - {PROMPTING}, [ACCEPTED, BUSY, WRONG, SILENCE])),
)
def test_an_outcome_that_comes_after_the_callback_changes_nothing(state: IntentState, outcome: PushOutcome) -> None:
    assert after_push(state, outcome, is_last_attempt=True) is state


CALLBACKS: list[tuple[IntentState, Verdict, IntentState]] = [
    *((state, Paid(), PAID) for state in IntentState),
    *((state, Failed("1032"), FAILED) for state in set(IntentState) - {PAID}),
    (PAID, Failed("1032"), PAID),
    (INITIATED, Unknown("?"), UNKNOWN),
    (PROMPTING, Unknown("?"), UNKNOWN),
    (PROMPTED, Unknown("?"), UNKNOWN),
    (UNKNOWN, Unknown("?"), UNKNOWN),
    (FAILED, Unknown("?"), FAILED),
    (PAID, Unknown("?"), PAID),
]


@pytest.mark.parametrize(("state", "verdict", "after"), CALLBACKS)
def test_success_may_follow_anything_and_nothing_follows_success(
    state: IntentState, verdict: Verdict, after: IntentState
) -> None:
    assert after_callback(state, verdict) is after


@pytest.mark.parametrize(
    ("state", "outcome", "is_last", "after"),
    [
        *((state, Paid(), last, PAID) for state, last in product(IntentState, [False, True])),
        *((state, Failed("1032"), False, FAILED) for state in set(IntentState) - {PAID}),
        (PAID, Failed("1032"), True, PAID),
        *((state, Pending(), False, state) for state in IntentState),
        *((state, Unknown("?"), False, state) for state in IntentState),
        (PROMPTING, Unknown("?"), True, UNKNOWN),
        (PROMPTED, Pending(), True, UNKNOWN),
        (FAILED, Unknown("?"), True, FAILED),
        (PAID, Unknown("?"), True, PAID),
    ],
)
def test_what_is_open_after_the_last_query_is_unknown_and_never_failed(
    state: IntentState, outcome: QueryOutcome, is_last: bool, after: IntentState
) -> None:
    assert after_query(state, outcome, is_last=is_last) is after


EVIDENCE = st.one_of(
    st.tuples(st.just("push"), st.sampled_from([ACCEPTED, BUSY, WRONG, SILENCE]), st.booleans()),
    st.tuples(st.just("callback"), st.sampled_from([Paid(), Failed("1"), Unknown("?")]), st.booleans()),
    st.tuples(st.just("query"), st.sampled_from([Paid(), Failed("1"), Pending(), Unknown("?")]), st.booleans()),
)


@given(st.lists(EVIDENCE))
def test_whatever_comes_in_whatever_order_it_ends_paid_if_anybody_ever_said_paid(
    evidence: list[tuple[str, object, bool]],
) -> None:
    state = PROMPTING
    said_paid = False
    for kind, what, is_last in evidence:
        said_paid = said_paid or what == Paid()
        if kind == "push":
            state = after_push(state, what, is_last_attempt=is_last)  # type: ignore[arg-type]
        elif kind == "callback":
            state = after_callback(state, what)  # type: ignore[arg-type]
        else:
            state = after_query(state, what, is_last=is_last)  # type: ignore[arg-type]
        assert (state is PAID) == said_paid


def test_queries_are_asked_at_20_s_60_s_2_5_and_15_minutes(tmp_path: Path) -> None:
    asked = [next_query_at(NOW, queries) for queries in range(len(QUERY_AFTER_S) + 1)]
    assert asked == [*(NOW + timedelta(seconds=after) for after in (20, 60, 120, 300, 900)), None]
    assert Settings.load({}, tmp_path).payment_queries_s == QUERY_AFTER_S


@pytest.mark.parametrize(("same_amount", "wait_s"), [(False, 60), (True, 120)])
def test_a_phone_is_asked_again_after_a_pause(same_amount: bool, wait_s: int) -> None:
    assert prompt_again_at(NOW, same_amount) == NOW + timedelta(seconds=wait_s)


@pytest.mark.parametrize(("price_kes", "asked_kes"), [("50", 50), ("49.50", 50), ("49.01", 50), ("1", 1)])
def test_whole_shillings_are_asked_for(price_kes: str, asked_kes: int) -> None:
    assert amount_to_ask_for(Decimal(price_kes)) == asked_kes


def test_an_account_reference_is_read_however_it_was_typed() -> None:
    reference = new_account_reference()
    assert len(reference) <= 12
    typed = f" {reference[:5].lower()}-{reference[5:]} "
    assert normal_account_reference(typed) == reference


@pytest.mark.parametrize("text", ["", "0712345678", "KB7X2Q9MN", "KB7X2Q9MNPP", "KB7X2Q9MNO", "jane"])
def test_what_is_no_account_reference_is_none(text: str) -> None:
    assert normal_account_reference(text) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Gold", "Gold"),
        ("Daily 1GB – cheap & fast", "Daily 1GB"),
        ("*** 24 hours ***", "24 hours"),
        ("日", "Internet"),
        ("", "Internet"),
    ],
)
def test_a_prompt_says_what_is_bought_in_13_plain_characters(name: str, said: str) -> None:
    described = description_of(name)
    assert described.startswith(said)
    assert len(described) <= 13


def test_digests_find_the_same_text_under_every_key_and_for_one_purpose_alone() -> None:
    old, new = Keyring.generate("old"), Keyring.generate("new")
    before, after = Keyring.parse(old), Keyring.parse(f"{new},{old}")
    digest = before.digests("7KQ2XM4P9D", "voucher")[0]
    assert digest in after.digests("7KQ2XM4P9D", "voucher")
    assert digest != after.digests("7KQ2XM4P9D", "voucher")[0]
    assert digest not in before.digests("7KQ2XM4P9D", "callback")
    assert not any(word in digest.hex() for word in FORBIDDEN_IN_URLS)
