"""Customers who ask to pay, over real HTTP, and who ask again when nothing comes back: whatever is down, once each."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from tests.chaos.plan import Customer

AT_ONCE = 6
_TRY_FOR_S = 90
_AGAIN_AFTER_S = 0.3


@dataclass
class Asked:
    """What came of asking. `intents`: customer → intent; `answers`: how often which answer came."""

    intents: dict[int, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)


def ask_all(url: str, token: str, plans: dict[int, int], customers: Sequence[Customer], run: str) -> Asked:
    """`plans`: price → plan id. Each customer asks when it is their time, until they are answered with 202."""
    asked, began = Asked(), time.monotonic()
    waiting, lock = list(customers)[::-1], threading.Lock()

    def go_on() -> None:
        with httpx.Client(base_url=url, timeout=15, trust_env=False) as http:
            while True:
                with lock:
                    if not waiting:
                        return
                    customer = waiting.pop()
                time.sleep(max(0.0, began + customer.at_s - time.monotonic()))
                ask(http, customer)

    def ask(http: httpx.Client, customer: Customer) -> None:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{run}-{customer.number}"}
        body = {"plan_id": plans[customer.price_kes], "phone": customer.phone}
        deadline = time.monotonic() + _TRY_FOR_S
        while time.monotonic() < deadline:
            try:
                answer = http.post("/api/v1/payments/initiate", json=body, headers=headers)
            except httpx.TransportError as error:
                said, intent_id = type(error).__name__, None
            else:
                said = str(answer.status_code)
                intent_id = int(answer.json()["id"]) if answer.status_code == 202 else None
                if answer.status_code not in (202, 503):
                    said = f"{answer.status_code} {answer.text}"
            with lock:
                asked.answers[said] += 1
                if intent_id is not None:
                    asked.intents[customer.number] = intent_id
                    return
            time.sleep(_AGAIN_AFTER_S)

    threads = [threading.Thread(target=go_on, name=f"customers-{number}") for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return asked
