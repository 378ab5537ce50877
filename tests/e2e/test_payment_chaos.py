"""Whatever is killed, lost, doubled or contradicted: what M-Pesa took from customers is what our books say, once.

A whole Kibali by `up`, a Daraja that misbehaves, customers who pay while payment workers, API, sweep and Redis are
killed, Redis is emptied and PostgreSQL restarted. What happens when is made of a seed; a failing run prints it:

    python -m pytest -s tests/e2e/test_payment_chaos.py --payments 1000 --seed 1234
"""

import random
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from cli.nas import Nas, NoAnswer
from db.engine import make_engine, session_factory
from db.subscription import Subscription
from db.subscription_life import password
from isp.encryption import Keyring
from tests.chaos.books import Books
from tests.chaos.customers import ask_all
from tests.chaos.faults import Saboteur
from tests.chaos.plan import PRICES_KES, make_plan
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, DarajaControl
from tests.instance import RunningInstance, stopped_instance
from tests.integration.api_server import make_operator

NAS_ADDRESS, NAS_SECRET = "127.0.0.2", "a-secret-of-this-test"
# As 20 s, 60 s, 2, 5 and 15 minutes, but for a test.
QUERIES_S = "3,6,10,15,25"
SETTLED_WITHIN_S = 300


@dataclass(frozen=True)
class Town:
    """A running Kibali with one tenant, its plans, its paybill at the fake Daraja, and its router."""

    kibali: RunningInstance
    daraja: DarajaControl
    url: str
    token: str
    account_id: int
    plans: dict[int, int]
    books: Books


@pytest.fixture
def town(seed: int) -> Iterator[Town]:
    with ExitStack() as stack:
        stopped = stack.enter_context(stopped_instance())
        url = f"http://127.0.0.1:{stopped.environ['KIBALI_HTTP_PORT']}"
        changes = {"KIBALI_PUBLIC_URL": url, "KIBALI_PAYMENT_QUERIES_S": QUERIES_S, "KIBALI_RADIUS_INSTANCES": "8"}
        kibali = RunningInstance({**stopped.environ, **changes})
        up = kibali.kibali("up", "--detach")
        assert up.returncode == 0, up.stderr
        daraja = stack.enter_context(fake_daraja(duplicate_window_s=0.0, seed=seed))
        operator = make_operator(kibali.settings, "town")
        token = operator.tokens["owner"]
        http = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))

        def made(path: str, body: Any, status: int = 201) -> Any:
            answer = http.post(f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, answer.text
            return answer.json()

        credentials = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}
        account = {"kind": "paybill", "name": "Main", "shortcode": PAYBILL, "base_url": daraja.url}
        account_id = made("/payment-accounts", {**account, "credentials": credentials})["id"]
        made(f"/payment-accounts/{account_id}/register-c2b", None, 202)
        made(f"/payment-accounts/{account_id}/register-pull", {"nominated_phone": "0722000000"}, 202)
        made("/routers", {"name": "gate", "nas_address": NAS_ADDRESS, "radius_secret": NAS_SECRET})
        plan = {"service": "hotspot", "upload_kbps": 1000, "download_kbps": 4000, "validity_unit": "days"}
        plans = {
            price: made("/plans", {**plan, "name": f"{price} bob", "price_kes": str(price), "validity_count": 1})["id"]
            for price in PRICES_KES
        }
        yield Town(kibali, daraja, url, token, account_id, plans, Books(kibali.settings, operator.tenant_id))


@pytest.mark.timeout(900)
def test_what_customers_paid_is_what_the_books_say(
    town: Town, payments: int, seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", logger="uvicorn.error")  # the fake hangs up on purpose
    plan = make_plan(seed, payments)
    for customer in plan.customers:
        if customer.behaviour:
            town.daraja.behave(phone=customer.phone, **customer.behaviour)
    saboteur = Saboteur(town.kibali.settings, town.daraja, plan.faults)
    began = time.monotonic()
    saboteur.start()
    asked = ask_all(town.url, town.token, town.plans, plan.customers, f"chaos-{seed}")
    saboteur.wait()
    asked_s = time.monotonic() - began
    settle(town)
    settled_s = time.monotonic() - began
    retried = retry_what_failed(town)
    found = find_lost_payments(town)
    truth = town.daraja.state()
    wrong = list(town.books.differences(plan, asked.intents, truth))
    wrong += [
        f"the API answered {said!r} {number} times"
        for said, number in asked.answers.items()
        if said[:1] == "5" and said != "503"
    ]
    wrong += list(shut_out(town))
    sys.stdout.write(
        f"seed {seed}: {payments} customers, {len(truth['payments'])} paid; asked in {asked_s:.0f} s, settled after"
        f" {settled_s:.0f} s, {retried} jobs retried, {found} payments pulled; answers {dict(asked.answers)}\n"
    )
    if wrong:
        shutil.copytree(town.kibali.settings.var / "log", tmp_path / "log")
        head = f"seed {seed}, {payments} payments; Kibali's logs are in {tmp_path}"
        pytest.fail("\n".join([head, *wrong[:40], *saboteur.done]), pytrace=False)


def settle(town: Town) -> None:
    """Until nothing is under way any more."""
    deadline = time.monotonic() + SETTLED_WITHIN_S
    town.daraja.wait_until_idle(SETTLED_WITHIN_S)
    while time.monotonic() < deadline:
        try:
            if not town.books.unsettled():
                return
        except psycopg.OperationalError:
            pass  # it is being restarted
        time.sleep(0.5)


def retry_what_failed(town: Town) -> int:
    """What failed because its worker was killed at every try: as an operator does it, all at once. How many."""
    failed = town.books.rows("SELECT id FROM job WHERE state = 'failed'")
    if failed:
        retry = town.kibali.kibali("queue", "retry", "--all")
        assert retry.returncode == 0, retry.stderr
        settle(town)
    return len(failed)


def find_lost_payments(town: Town) -> int:
    """What nobody told of and no query found, as Kibali does it every ten minutes: all that was paid is asked for."""
    headers = {"Authorization": f"Bearer {town.token}"}
    asked = httpx.post(f"{town.url}/api/v1/payment-accounts/{town.account_id}/pull", headers=headers, timeout=30)
    assert asked.status_code == 202, asked.text
    settle(town)
    found = "SELECT data FROM event WHERE type = 'payment.found' AND data ->> 'outcome' <> 'completed'"
    return len(town.books.rows(found))


def shut_out(town: Town) -> Iterator[str]:
    """Everybody who paid logs in, with real packets."""
    ports = town.kibali.settings.radius_auth_port, town.kibali.settings.radius_acct_port
    nas = Nas("127.0.0.1", *ports, NAS_SECRET, source=NAS_ADDRESS)
    keyring = Keyring.parse(town.kibali.settings.encryption_keys.reveal())
    engine = make_engine(town.kibali.settings, "owner", pool_size=1)
    with session_factory(engine)() as session:
        customers = [
            (each.username, password(each, keyring))
            for each in session.query(Subscription).filter_by(tenant_id=town.books.tenant_id)
        ]
    engine.dispose()
    for number, (username, secret) in enumerate(customers):
        code = login(nas, username, secret, f"02:00:00:00:{number // 256:02X}:{number % 256:02X}")
        if code != "Access-Accept":
            yield f"{username} paid and got {code}"


def login(nas: Nas, username: str, secret: str, mac: str) -> str:
    """Who is not answered tries once more, as people do."""
    for _ in range(2):
        try:
            return nas.login(username, secret, mac=mac).code
        except NoAnswer:
            continue
    return "no answer"


@pytest.fixture
def payments(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--payments"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    given = request.config.getoption("--seed")
    return random.SystemRandom().randrange(1_000_000) if given is None else int(given)
