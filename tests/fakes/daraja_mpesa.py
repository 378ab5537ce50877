"""M-Pesa behind the fake gateway: customers who are prompted and decide, their money, and what is told to whom.

`payments` is the truth that tests compare Kibali's books with.
"""

import asyncio
import json
import random
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.daraja_behaviour import Behaviour, MsisdnForm
from tests.fakes.daraja_messages import c2b_payload, new_receipt, new_request_ids, stk_callback, written
from tests.fakes.daraja_post import NotDelivered, Poster

DELIVERED_WITHIN_S = 10.0
SENT_AGAIN_AFTER_S = 2.0
VALIDATION_WITHIN_S = 8.0


@dataclass(frozen=True, slots=True)
class Payment:
    receipt: str
    msisdn: str
    amount_kes: int
    shortcode: str
    account_reference: str
    checkout_request_id: str | None
    """None of a payment that nobody was prompted for."""
    paid_at: datetime


@dataclass(slots=True)
class Prompt:
    merchant_request_id: str
    checkout_request_id: str
    shortcode: str
    msisdn: str
    amount_kes: int
    account_reference: str
    callback_url: str
    behaviour: Behaviour
    push: dict[str, Any]
    """As it came."""
    pushed_at: datetime
    prompted_s: float = field(default_factory=time.monotonic)
    result_code: int | None = None
    """None until the customer decides."""
    payment: Payment | None = None
    queries: int = 0
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first callback was delivered, or will never be."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook: `status` of the answer, None without one; `lost` was never sent."""

    kind: str
    receipt: str | None
    status: int | None
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Registration:
    """Where C2B payments to a shortcode are told."""

    confirmation_url: str
    validation_url: str
    if_unanswered: str
    msisdn_form: MsisdnForm


class Mpesa:
    def __init__(self, *, duplicate_window_s: float, one_prompt_per_phone: bool, seed: int) -> None:
        """`duplicate_window_s`: how long the same phone can not pay the same amount again; 0 switches that off."""
        self.duplicate_window_s = duplicate_window_s
        self.one_prompt_per_phone = one_prompt_per_phone
        self.prompts: dict[str, Prompt] = {}
        self.payments: list[Payment] = []
        self.deliveries: list[Delivery] = []
        self.registrations: dict[str, Registration] = {}
        self._latest: dict[tuple[str, int], Prompt] = {}
        self._open: dict[str, int] = {}
        self._random = random.Random(seed)
        self._under_way: set[asyncio.Task[None]] = set()
        self._poster = Poster()

    @property
    def is_idle(self) -> bool:
        """Whether nobody decides and nothing is told any more."""
        return not self._under_way

    async def close(self) -> None:
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._poster.close()

    def is_being_prompted(self, msisdn: str) -> bool:
        return self.one_prompt_per_phone and self._open.get(msisdn, 0) > 0

    def prompt(self, body: dict[str, Any], behaviour: Behaviour) -> Prompt:
        """Begins what happens after a push; returns at once."""
        merchant_request_id, checkout_request_id = new_request_ids(datetime.now(UTC))
        made = Prompt(
            merchant_request_id=merchant_request_id,
            checkout_request_id=checkout_request_id,
            shortcode=str(body["BusinessShortCode"]),
            msisdn=str(body["PhoneNumber"]),
            amount_kes=int(body["Amount"]),
            account_reference=body["AccountReference"],
            callback_url=body["CallBackURL"],
            behaviour=behaviour,
            push=body,
            pushed_at=datetime.now(UTC),
        )
        self.prompts[checkout_request_id] = made
        if behaviour.prompted:
            earlier = self._latest.get((made.msisdn, made.amount_kes))
            self._latest[made.msisdn, made.amount_kes] = made
            self._open[made.msisdn] = self._open.get(made.msisdn, 0) + 1
            self._begin(self._customer(made, self._is_duplicate(earlier)))
        else:
            made.told.set()
        return made

    def _is_duplicate(self, earlier: Prompt | None) -> bool:
        if earlier is None or time.monotonic() - earlier.prompted_s > self.duplicate_window_s:
            return False
        return earlier.result_code in (None, 0)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _customer(self, prompt: Prompt, is_duplicate: bool) -> None:
        behaviour = prompt.behaviour
        try:
            await asyncio.sleep(behaviour.decides_after_s)
            self._decide(prompt, 17 if is_duplicate else behaviour.result_code)
        finally:
            self._open[prompt.msisdn] -= 1
        if behaviour.also_c2b and prompt.payment:
            self._begin(self._confirm(prompt.payment, behaviour.c2b_msisdn))
        await asyncio.sleep(behaviour.delivered_after_s)
        for number in range(behaviour.deliveries):
            if number:
                await asyncio.sleep(behaviour.between_deliveries_s)
            await self._call_back(prompt)
            prompt.told.set()
        prompt.told.set()
        if behaviour.then_result_code is not None and not is_duplicate:
            await asyncio.sleep(behaviour.then_after_s)
            self._decide(prompt, behaviour.then_result_code)
            await self._call_back(prompt)

    def _decide(self, prompt: Prompt, code: int) -> None:
        prompt.result_code = code
        if code == 0:
            amount_kes = prompt.behaviour.pays_kes or prompt.amount_kes
            prompt.payment = self._pay(prompt.msisdn, amount_kes, prompt.shortcode, prompt.account_reference, prompt)

    def _pay(
        self, msisdn: str, amount_kes: int, shortcode: str, reference: str, prompt: Prompt | None = None
    ) -> Payment:
        checkout_request_id = prompt.checkout_request_id if prompt else None
        payment = Payment(
            new_receipt(), msisdn, amount_kes, shortcode, reference, checkout_request_id, datetime.now(UTC)
        )
        self.payments.append(payment)
        return payment

    async def _call_back(self, prompt: Prompt) -> None:
        code, payment = prompt.result_code, prompt.payment
        assert code is not None
        paid = (payment.receipt, payment.amount_kes, payment.msisdn, payment.paid_at) if payment and not code else None
        ids = prompt.merchant_request_id, prompt.checkout_request_id
        body = stk_callback(ids, code, paid, prompt.behaviour)
        lost = self._random.random() < prompt.behaviour.loss
        receipt = payment.receipt if payment else None
        for number in range(prompt.behaviour.tries):
            if number:
                await asyncio.sleep(SENT_AGAIN_AFTER_S)
            if await self._deliver("stk", prompt.callback_url, body, receipt, lost=lost):
                break

    async def _deliver(
        self, kind: str, url: str, body: dict[str, Any], receipt: str | None, *, lost: bool = False
    ) -> bool:
        """Once. Whether that was the last of it: it was answered with 200, or lost on the way."""
        status = None
        if not lost:
            with suppress(NotDelivered):
                status = (await self._poster.post(url, body, DELIVERED_WITHIN_S)).status
        self.deliveries.append(Delivery(kind, receipt, status, lost))
        return lost or status == 200

    async def _confirm(self, payment: Payment, form: MsisdnForm) -> None:
        if registration := self.registrations.get(payment.shortcode):
            body = _c2b(payment, form)
            await self._deliver("c2b_confirmation", registration.confirmation_url, body, payment.receipt)

    async def pay_by_hand(
        self,
        msisdn: str,
        amount_kes: int,
        shortcode: str,
        bill_ref: str,
        *,
        form: MsisdnForm | None = None,
        validated: bool = True,
        deliveries: int = 1,
    ) -> Payment | None:
        """A customer pays the paybill or till without being asked; None if the validation turned it away.

        Raises KeyError where the shortcode has no URLs registered.
        """
        registration = self.registrations[shortcode]
        form = form or registration.msisdn_form
        planned = Payment(new_receipt(), msisdn, amount_kes, shortcode, bill_ref, None, datetime.now(UTC))
        if validated and not await self._is_wanted(planned, registration, form):
            return None
        self.payments.append(planned)
        for _ in range(deliveries):
            await self._confirm(planned, form)
        return planned

    async def _is_wanted(self, planned: Payment, registration: Registration, form: MsisdnForm) -> bool:
        status, verdict = None, None
        with suppress(NotDelivered, ValueError, AttributeError):
            answer = await self._poster.post(registration.validation_url, _c2b(planned, form), VALIDATION_WITHIN_S)
            status = answer.status
            verdict = str(json.loads(answer.body).get("ResultCode")) if status == 200 else None
        self.deliveries.append(Delivery("c2b_validation", planned.receipt, status))
        return registration.if_unanswered == "Completed" if verdict is None else verdict == "0"


def _c2b(payment: Payment, form: MsisdnForm) -> dict[str, Any]:
    return c2b_payload(
        payment.receipt,
        payment.paid_at,
        f"{payment.amount_kes}.00",
        payment.shortcode,
        payment.account_reference,
        written(payment.msisdn, form),
        is_till=not payment.account_reference,
    )
