"""SMS after payments: written with the payment, sent by a job through the tenant's gateway, sealed on the way."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from cli.app import kibali
from db import job_life, sms, subscription_life
from db.sms import GatewayTerms
from settings import Settings
from tasks import sms as sms_tasks
from tasks.running_job import RunningJob
from tasks.sms_provider import SmsError
from tasks.stops import PermanentFailure
from tests.integration.payment_bench import PHONE, PaymentBench, make_payment_bench

KEY = "atsk_the-api-key"
TAKEN = {"statusCode": 101, "number": "+254712345678", "status": "Success", "messageId": "ATXid_1", "cost": "KES 0.8"}


def told(*recipients: Mapping[str, Any], message: str = "Sent to 1/1") -> bytes:
    return json.dumps({"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}).encode()


@contextmanager
def africas_talking(status: int = 201, body: bytes = b"") -> Iterator[Any]:
    """A gateway that answers so; `requests` are (path, headers, form)."""

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            server.requests.append((self.path, dict(self.headers), {name: value[0] for name, value in form.items()}))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server: Any = HTTPServer(("127.0.0.1", 0), Gateway)
    server.requests, server.status, server.body = [], status, body or told(TAKEN)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[PaymentBench]:
    with make_payment_bench(settings_of_module) as bench:
        yield bench
        bench.check_books()


def use(bench: PaymentBench, provider: str = "outbox", **terms: Any) -> None:
    with bench.office() as session:
        sms.set_gateway(session, bench.tenant_id, GatewayTerms(provider, **terms), bench.keyring)


def use_gateway(bench: PaymentBench, server: Any, **terms: Any) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    use(bench, "africastalking", username="acme", base_url=url, api_key=KEY, **terms)


def pay(bench: PaymentBench, plan_id: int, receipt: str = "R1") -> None:
    intent = bench.prompted(plan_id)
    assert bench.process(bench.callback(intent, receipt=receipt, amount="50", phone=PHONE)) == "applied"


def messages(bench: PaymentBench) -> list[tuple[str, str, str, str]]:
    """Kind, phone, state, text."""
    with bench.sessions() as session:
        rows = session.query(sms.SmsMessage).order_by(sms.SmsMessage.id).all()
        return [(each.kind, each.msisdn, each.state, sms.body(each, bench.keyring)) for each in rows]


def work(bench: PaymentBench, settings: Settings, *, last: bool = False) -> None:
    """The job of the newest message, as a worker runs it."""
    with bench.sessions.begin() as session:
        statement = "UPDATE job SET due_at = now() WHERE task = 'send_sms' AND state = 'pending' RETURNING id"
        job_id = session.scalar(text(statement))
        assert job_id is not None
        claim = job_life.claim(session, job_id, "sms", lease_s=60)
    assert claim is not None
    if last:
        claim = replace(claim, attempt=claim.max_attempts)
    with bench.sessions() as session:
        sms_tasks.send_sms(session, RunningJob(claim, settings, bench.sessions), **claim.args)
        assert job_life.succeed(session, claim)
        session.commit()


def test_without_a_gateway_nothing_is_written(bench: PaymentBench) -> None:
    pay(bench, bench.plan())
    assert messages(bench) == []


def test_the_outbox_keeps_how_to_log_in_and_the_database_no_password(bench: PaymentBench) -> None:
    use(bench)
    pay(bench, bench.plan())
    (subscription_id,) = bench.scalars("SELECT id FROM subscription")
    secret = subscription_life.password(bench.read(subscription_id), bench.keyring)
    ((kind, phone, state, body),) = messages(bench)
    assert (kind, phone, state) == ("credentials", PHONE, "kept")
    assert body == f"Acme: you are in. Username {PHONE} Password {secret}. Until 02.03.2026 12:00."
    assert len(body) <= 160
    stored = str(bench.scalars("SELECT m::text FROM sms_message m")) + str(bench.scalars("SELECT j::text FROM job j"))
    assert secret not in stored
    assert bench.scalars("SELECT count(*) FROM job WHERE task = 'send_sms'") == [0]


def test_a_renewal_is_told_without_a_password(bench: PaymentBench) -> None:
    use(bench)
    plan_id = bench.plan()
    subscription = bench.subscription(plan_id, PHONE)
    bench.pay_cash("50", subscriber_id=subscription.subscriber_id)
    ((kind, _, _, body),) = messages(bench)
    assert kind == "renewed"
    assert body.startswith(f"Acme: thank you, {subscription.username} is renewed. Until ")


@pytest.mark.parametrize("wanted", [True, False])
def test_a_failure_is_told_where_that_is_wanted(bench: PaymentBench, wanted: bool) -> None:
    use(bench, on_failure=wanted)
    bench.process(bench.callback(bench.prompted(bench.plan()), "1"))
    expected = [("failed", PHONE, "kept", "Acme: nothing was paid. en: 1")] if wanted else []
    assert messages(bench) == expected


def test_a_message_that_can_not_be_written_stops_no_payment(
    bench: PaymentBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(bench)

    def refuse(session: Any, *_: Any, **__: Any) -> None:
        session.execute(text("SELECT 1 / 0"))

    monkeypatch.setattr(sms, "write", refuse)
    pay(bench, bench.plan())
    assert messages(bench) == []
    assert bench.renewals() == 1


def test_the_gateway_gets_what_africas_talking_documents(bench: PaymentBench, settings_of_module: Settings) -> None:
    with africas_talking() as server:
        use_gateway(bench, server, sender_id="ACME")
        pay(bench, bench.plan())
        ((_, _, state, body),) = messages(bench)
        assert state == "waiting"
        work(bench, settings_of_module)
        ((path, headers, form),) = server.requests
    assert path == "/version1/messaging"
    assert (headers["apiKey"], headers["Accept"]) == (KEY, "application/json")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form == {"username": "acme", "to": f"+{PHONE}", "message": body, "bulkSMSMode": "1", "from": "ACME"}
    (row,) = bench.scalars("SELECT state || provider_message_id FROM sms_message WHERE sent_at IS NOT NULL")
    assert row == "sentATXid_1"


@pytest.mark.parametrize(
    ("status", "body", "permanent", "words"),
    [
        (201, told({**TAKEN, "statusCode": 405, "status": "InsufficientBalance"}), True, "405 InsufficientBalance"),
        (201, told({**TAKEN, "statusCode": 403, "status": "InvalidPhoneNumber"}), True, "403 InvalidPhoneNumber"),
        (201, told({**TAKEN, "statusCode": 501, "status": "GatewayError"}), False, "501 GatewayError"),
        (201, told(message="InvalidSenderId"), True, "InvalidSenderId"),
        (401, b"The supplied authentication is invalid", True, "username or the API key"),
        (500, b"oops", False, "answered 500"),
        (429, b"slow down", False, "answered 429"),
        (201, b"<html>", True, "makes no sense"),
        (201, b'{"SMSMessageData": []}', True, "makes no sense"),
        (201, told({"statusCode": "x"}), True, "makes no sense"),
    ],
)
def test_what_the_gateway_says_ends_the_job_or_tries_again(
    bench: PaymentBench, settings_of_module: Settings, status: int, body: bytes, permanent: bool, words: str
) -> None:
    with africas_talking(status, body) as server:
        use_gateway(bench, server)
        pay(bench, bench.plan())
        with pytest.raises(PermanentFailure if permanent else SmsError, match=words) as raised:
            work(bench, settings_of_module)
    assert KEY not in str(raised.value)
    ((_, _, state, _),) = messages(bench)
    assert state == ("failed" if permanent else "waiting")


def test_the_last_attempt_fails_the_message(bench: PaymentBench, settings_of_module: Settings) -> None:
    use(bench, "africastalking", username="acme", base_url="http://127.0.0.1:1", api_key=KEY)
    pay(bench, bench.plan())
    with pytest.raises(PermanentFailure, match="no connection"):
        work(bench, settings_of_module, last=True)
    ((_, _, state, _),) = messages(bench)
    assert state == "failed"


def test_old_messages_are_deleted(bench: PaymentBench, settings_of_module: Settings) -> None:
    use(bench)
    pay(bench, bench.plan())  # in March
    with bench.sessions.begin() as session:
        assert sms.prune(session, bench.now + sms_tasks.KEPT_FOR, sms_tasks.KEPT_FOR, 10) == 0
        later = bench.now + 2 * sms_tasks.KEPT_FOR
        assert sms.prune(session, later, sms_tasks.KEPT_FOR, 10) == 1


# By command.


def test_the_commands_set_a_gateway_and_show_messages(bench: PaymentBench, settings_of_module: Settings) -> None:
    environ = {**settings_of_module.environment(), "KIBALI_DATABASE_URL": settings_of_module.database_url}
    environ |= {
        "KIBALI_REDIS_URL": settings_of_module.redis_url,
        "KIBALI_ENCRYPTION_KEYS": settings_of_module.encryption_keys.reveal(),
    }
    for role in ("api", "platform"):
        environ[f"KIBALI_DATABASE_PASSWORD_{role.upper()}"] = getattr(
            settings_of_module, f"database_password_{role}"
        ).reveal()

    def run(*arguments: str, stdin: str = "", status: int = 0) -> str:
        result = CliRunner().invoke(kibali, ["sms", *arguments], input=stdin, env=environ)
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    assert "there is no gateway" in run("gateway", "show", status=1)
    wanted = ("gateway", "set", "--provider", "africastalking")
    assert "--username: " in run(*wanted, stdin=KEY, status=1)
    assert "API key: standard input holds nothing" in run(*wanted, "--username", "acme", status=1)
    assert KEY not in run(*wanted, "--username", "acme", stdin=KEY)
    assert json.loads(run("gateway", "show", "--json"))["provider"] == "africastalking"
    run("gateway", "set", "--provider", "outbox")
    assert "is kept in the outbox" in run("test", "0712345678")
    (listed,) = json.loads(run("list", "--json"))
    assert "text" not in listed
    assert json.loads(run("show", str(listed["id"]), "--json"))["text"] == "Acme: this is a test by Kibali."
    assert "--phone: " in run("test", "07123", status=1)
    run("gateway", "remove")
    assert "there is no gateway" in run("test", "0712345678", status=1)
