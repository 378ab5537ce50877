"""Payment accounts over the API: secrets that stay inside, and what M-Pesa says of them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from db import job_life, payment_account
from db.engine import make_engine, session_factory, use_tenant
from db.payment_account import NewPaymentAccount
from settings import Networks, Settings
from tasks import payment_accounts as account_tasks
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, DarajaControl
from tests.integration.api_server import api_of
from tests.integration.payment_api import (
    CREDENTIALS,
    PUBLIC_URL,
    Shop,
    error,
    shared_shop,
)


@pytest.fixture(scope="module")
def shop(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Shop]:
    with shared_shop(server_environ, postgres_server, redis_server, template_database, private_directory) as shop:
        yield shop


def test_an_account_is_read_without_its_secrets(shop: Shop) -> None:
    made = shop.account(kind="till", till_number="5123456", confirm_above_kes="1000")
    assert shop.get(f"/payment-accounts/{made['id']}") == made
    assert made["confirm_above_kes"] == "1000.00"
    row = shop.rows("SELECT * FROM payment_account WHERE id = %s", made["id"])[0]
    for secret in CREDENTIALS.values():
        assert secret not in str(made)
        assert secret.encode() not in row["credentials_sealed"]


def test_the_api_sends_nobody_to_this_machine(shop: Shop) -> None:
    account_id = shop.account()["id"]
    engine = make_engine(shop.settings, "api", pool_size=1)
    local = "http://127.0.0.1:6379"
    copied = "tenant_id, kind, name, shortcode, credentials_sealed, c2b_token_hash, c2b_token_sealed"
    copy = (
        f"INSERT INTO payment_account ({copied}, local_url) SELECT {copied}, :url FROM payment_account WHERE id = :id"
    )
    tries = ("UPDATE payment_account SET local_url = :url WHERE id = :id", copy)
    try:
        for statement in tries:
            with use_tenant(session_factory(engine)(), shop.operator.tenant_id) as session:
                with pytest.raises(ProgrammingError, match=r"permission denied|row-level security"):
                    session.execute(text(statement), {"url": local, "id": account_id})
                session.rollback()
    finally:
        engine.dispose()


def test_an_account_at_this_machine_is_nobodys_default_and_used_again(shop: Shop) -> None:
    engine = make_engine(shop.settings, "owner", pool_size=1)
    new = NewPaymentAccount("paybill", "Local", "174379", CREDENTIALS)
    try:
        with api_of(shop.settings, "local") as api:
            other = Shop(api.http, api.operator, api.settings)
            ids = []
            for port in (1001, 1002):
                with session_factory(engine).begin() as session:
                    url = f"http://127.0.0.1:{port}"
                    made = payment_account.at_local_gateway(session, other.operator.tenant_id, new, url, shop.keyring)
                    ids.append(made.id)
                asked = {"plan_id": other.plan()["id"], "phone": "0712345678"}
                assert error(other.post("/payments/initiate", asked), 409)["code"] == "no_account"
                assert other.delete(f"/payment-accounts/{made.id}").status_code == 204
            assert ids[0] == ids[1]
            (row,) = other.rows("SELECT local_url FROM payment_account WHERE id = %s", ids[0])
            assert row == {"local_url": "http://127.0.0.1:1002"}
    finally:
        engine.dispose()


def test_a_credential_that_is_replaced_leaves_the_others(shop: Shop) -> None:
    made = shop.account()
    response = shop.patch(f"/payment-accounts/{made['id']}", {"credentials": {"passkey": "another-passkey"}})
    assert (response.status_code, response.json()) == (200, made)
    sealed = shop.rows("SELECT credentials_sealed AS sealed FROM payment_account WHERE id = %s", made["id"])[0]
    opened = shop.keyring.open(sealed["sealed"], f"payment_account.credentials:{made['id']}")
    assert "another-passkey" in opened
    assert CREDENTIALS["consumer_key"] in opened


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "bank"}, "kind"),
        ({"kind": "till"}, "till_number"),
        ({"till_number": "5123456"}, "till_number"),
        ({"shortcode": "1234"}, "shortcode"),
        ({"shortcode": "174379\n"}, "shortcode"),
        ({"shortcode": "\u0661\u0661\u0661\u0661\u0661"}, "shortcode"),
        ({"shortcode": 174379}, "shortcode"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"base_url": "ftp://example.net"}, "base_url"),
        ({"base_url": "https://user:secret@example.net"}, "base_url"),
        ({"base_url": "https://example.net/?x=1"}, "base_url"),
        ({"base_url": "https://169.254.169.254/latest"}, "base_url"),
        ({"base_url": "https://10.0.0.1:5432"}, "base_url"),
        ({"base_url": "https://[::ffff:10.0.0.1]"}, "base_url"),
        ({"base_url": "http://8.8.8.8"}, "base_url"),
        ({"confirm_above_kes": "-1"}, "confirm_above_kes"),
        ({"credentials": {}}, "consumer_key"),
        ({"credentials": {**CREDENTIALS, "passkey": ""}}, "credentials.passkey"),
        ({"credentials": {**CREDENTIALS, "passkey": "a\nb"}}, "credentials.passkey"),
        ({"credentials": {**CREDENTIALS, "pin": "1234"}}, "credentials.pin.[key]"),
        ({"credentials": "x"}, "credentials"),
        ({"provider": "bank"}, "provider"),
        ({"c2b_token": "x"}, "c2b_token"),
    ],
)
def test_an_account_that_makes_no_sense_is_refused(shop: Shop, change: dict[str, Any], field: str) -> None:
    before = shop.count("payment_account")
    body = {"kind": "paybill", "name": "Second", "shortcode": "174379", "credentials": CREDENTIALS, **change}
    refused = error(shop.post("/payment-accounts", body), 422)
    assert refused["field"] == field
    assert not any(secret in str(refused) for secret in (*CREDENTIALS.values(), "user:secret", "1234'"))
    assert shop.count("payment_account") == before


def test_two_accounts_in_use_have_not_the_same_name(shop: Shop) -> None:
    first = shop.account(name="Nyali")
    body = {"kind": "paybill", "name": "NYALI", "shortcode": "174379", "credentials": CREDENTIALS}
    assert error(shop.post("/payment-accounts", body), 409)["field"] == "name"
    assert shop.delete(f"/payment-accounts/{first['id']}").status_code == 204
    assert first["id"] not in [each["id"] for each in shop.get("/payment-accounts")["items"]]
    assert shop.post("/payment-accounts", body).status_code == 201


def test_the_urls_to_register_hold_the_accounts_token(shop: Shop) -> None:
    made = shop.account()
    token = shop.c2b_token(made["id"])
    assert shop.get(f"/payment-accounts/{made['id']}/c2b-urls") == {
        "confirmation_url": f"{PUBLIC_URL}/webhooks/daraja/c2b/{token}/confirmation",
        "validation_url": f"{PUBLIC_URL}/webhooks/daraja/c2b/{token}/validation",
    }


@pytest.mark.parametrize("path", ["test", "register-c2b"])
def test_m_pesa_is_asked_by_a_job_that_can_be_looked_up(shop: Shop, path: str) -> None:
    account_id = shop.account()["id"]
    response = shop.post(f"/payment-accounts/{account_id}/{path}")
    assert response.status_code == 202
    job_id = response.json()["job_id"]
    assert response.headers["location"] == f"/api/v1/jobs/{job_id}"
    job = shop.get(f"/jobs/{job_id}")
    assert (job["state"], job["error"], job["attempts"]) == ("pending", None, 0)
    assert shop.jobs(job["task"])[-1] == {"account_id": account_id}
    assert shop.post(f"/payment-accounts/{account_id}/{path}").json() == {"job_id": job_id}, "one is enough"


def test_a_disabled_account_is_not_registered(shop: Shop) -> None:
    account_id = shop.account()["id"]
    shop.delete(f"/payment-accounts/{account_id}")
    assert error(shop.post(f"/payment-accounts/{account_id}/register-c2b"), 409)["code"] == "disabled"


@pytest.fixture(scope="module")
def daraja() -> Iterator[DarajaControl]:
    with fake_daraja() as daraja:
        yield daraja


def carried_out(shop: Shop, job_id: int) -> dict[str, Any]:
    """What the event says, after a worker ran the job. The error is the job's as well."""
    engine = make_engine(shop.settings, "worker", pool_size=3)
    sessions = session_factory(engine)
    try:
        with sessions.begin() as session:
            claim = job_life.claim(session, job_id, "payments", 60)
        assert claim is not None
        job = RunningJob(claim, shop.settings, sessions)
        failed = None
        with sessions() as session:
            try:
                getattr(account_tasks, claim.task)(session, job, **claim.args)
                session.commit()
            except PermanentFailure as error:
                failed = str(error)
    finally:
        engine.dispose()
    told: dict[str, Any] = shop.rows("SELECT data FROM event ORDER BY id DESC LIMIT 1")[0]["data"]
    assert told["error"] == failed
    return told


@pytest.mark.parametrize(
    ("credentials", "ok"),
    [
        ({"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}, True),
        ({"consumer_key": CONSUMER_KEY, "consumer_secret": "the-wrong-secret", "passkey": PASSKEY}, False),
    ],
)
@pytest.mark.parametrize("path", ["test", "register-c2b"])
def test_what_m_pesa_says_of_the_credentials_is_told(
    shop: Shop, daraja: DarajaControl, path: str, credentials: dict[str, str], ok: bool
) -> None:
    account = shop.account(shortcode=PAYBILL, base_url=daraja.url, credentials=credentials)
    told = carried_out(shop, shop.post(f"/payment-accounts/{account['id']}/{path}").json()["job_id"])
    assert (told["ok"], told["payment_account_id"]) == (ok, account["id"])
    if not ok:
        assert "consumer secret" in told["error"]
        assert "the-wrong-secret" not in told["error"]


def test_an_account_leads_no_worker_to_where_only_the_machine_may_go(shop: Shop, daraja: DarajaControl) -> None:
    strict = Shop(shop.http, shop.operator, replace(shop.settings, gateway_networks=Networks()))
    for url, reason in (
        (daraja.url, "127.0.0.1 must be reached by https"),
        (daraja.url.replace("http", "https"), "127.0.0.1, which is not on the public internet"),
        ("https://169.254.169.254", "169.254.169.254, which is not on the public internet"),
    ):
        account = strict.account()
        with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as connection:
            # As it was stored before it was looked at, or once its name led elsewhere.
            connection.execute("UPDATE payment_account SET base_url = %s WHERE id = %s", (url, account["id"]))
        told = carried_out(strict, strict.post(f"/payment-accounts/{account['id']}/test").json()["job_id"])
        assert reason in told["error"]
    chosen = replace(strict.settings, daraja_url=daraja.url)
    credentials = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}
    account = strict.account(shortcode=PAYBILL, credentials=credentials)
    here = Shop(shop.http, shop.operator, chosen)
    assert carried_out(here, here.post(f"/payment-accounts/{account['id']}/test").json()["job_id"])["ok"]


def test_without_a_daraja_the_test_says_so(shop: Shop) -> None:
    account = shop.account(base_url="http://127.0.0.1:1")
    told = carried_out(shop, shop.post(f"/payment-accounts/{account['id']}/test").json()["job_id"])
    assert told["ok"] is False
    assert "no token" in told["error"]
