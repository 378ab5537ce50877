"""`kibali payment-account`, `payment`, `voucher` and `subscriber wallet`: what the API says, and secrets kept aside."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from cli import office
from cli.app import kibali
from db import job_life
from db.engine import make_engine, session_factory
from isp.encryption import Keyring
from settings import Settings
from tasks import payments as payment_tasks
from tasks.apply_payment import apply_payment
from tests.integration.payment_api import CREDENTIALS, Shop, cash, phone, shop_of

CREDENTIAL_LINES = "".join(f"{name}={value}\n" for name, value in CREDENTIALS.items())


@dataclass
class Shell:
    """Commands in the shop's tenant; the shop is the API on the same database."""

    shop: Shop
    environ: Mapping[str, str]

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(kibali, arguments, input=stdin, env=self.environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def says(self, *arguments: str, stdin: str | None = None) -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        return json.loads(self.says(*arguments, "--json", stdin=stdin))

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code in (1, 2), result.output
        assert result.stdout == ""
        return result.stderr

    def account(self, name: str) -> Any:
        options = ("--kind", "paybill", "--name", name, "--shortcode", "600000", "--credentials", "-")
        return self.json("payment-account", "add", *options, stdin=CREDENTIAL_LINES)


@pytest.fixture
def shell(environ: Mapping[str, str], settings: Settings) -> Iterator[Shell]:
    with shop_of(settings) as shop:
        yield Shell(shop, {**environ, "KIBALI_PUBLIC_URL": shop.settings.public_url})


@pytest.fixture
def worker(shell: Shell) -> Iterator[None]:
    """Credits what is to be credited, and fails what decides about payments, as a worker would."""
    engine = make_engine(shell.shop.settings, "worker", pool_size=2)
    sessions, done = session_factory(engine), threading.Event()
    keyring = Keyring.parse(shell.shop.settings.encryption_keys.reveal())

    def work() -> None:
        while not done.wait(0.02):
            with sessions.begin() as session:
                due = session.execute(text("SELECT id, task, args, queue FROM job WHERE state = 'pending'")).all()
                for job in due:
                    claim = job_life.claim(session, job.id, job.queue, lease_s=60)
                    assert claim is not None
                    if job.task == "apply_received":
                        apply_payment(session, job.args["payment_id"], keyring, payment_tasks._now())
                        assert job_life.succeed(session, claim)
                    else:
                        job_life.fail(session, claim, "PermanentFailure: M-Pesa does not like it.")

    thread = threading.Thread(target=work)
    thread.start()
    yield
    done.set()
    thread.join(20)
    engine.dispose()


# Accounts.


def test_an_account_is_made_and_shown_as_by_the_api_and_its_secrets_by_nobody(shell: Shell) -> None:
    made = shell.account("Second")
    assert made == shell.shop.get(f"/payment-accounts/{made['id']}")
    assert shell.json("payment-account", "show", str(made["id"])) == made
    assert [row["name"] for row in shell.json("payment-account", "list")] == ["Main", "Second"]
    shown = shell.says("payment-account", "show", str(made["id"])) + shell.says("payment-account", "list")
    assert not [secret for secret in CREDENTIALS.values() if secret in shown]


def test_secrets_are_read_from_a_file_and_replaced_one_by_one(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "daraja.txt"
    file.write_text("# of our paybill\n\npasskey = another-passkey \n", "utf-8")
    made = shell.account("Second")
    shell.says("payment-account", "change", str(made["id"]), "--credentials", str(file), "--confirm-above-kes", "500")
    (row,) = shell.shop.rows("SELECT * FROM payment_account WHERE id = %s", made["id"])
    opened = json.loads(shell.shop.keyring.open(row["credentials_sealed"], f"payment_account.credentials:{row['id']}"))
    assert opened == {**CREDENTIALS, "passkey": "another-passkey"}
    assert row["confirm_above_kes"] == 500
    assert (
        shell.json("payment-account", "change", str(made["id"]), "--confirm-above-kes", "")["confirm_above_kes"] is None
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "--credentials: A Daraja account needs consumer_key, consumer_secret, passkey."),
        ("consumer_key=a\n", "A Daraja account needs consumer_key, consumer_secret, passkey."),
        ("consumer_key\n", "--credentials: line 1 is none of consumer_key=…, consumer_secret=…, passkey=…."),
        ("pin=1234\n", "--credentials: line 1 is none of consumer_key=…, consumer_secret=…, passkey=…."),
        ("passkey=a\npasskey=b\n", "--credentials: passkey is there twice."),
    ],
)
def test_credentials_that_make_no_sense_are_refused_without_being_repeated(shell: Shell, lines: str, said: str) -> None:
    options = ("--kind", "paybill", "--name", "Bad", "--shortcode", "600000", "--credentials", "-")
    told = shell.refused("payment-account", "add", *options, stdin=lines)
    assert said.removeprefix("--credentials: A") in told
    assert "1234" not in told
    assert [row["name"] for row in shell.json("payment-account", "list")] == ["Main"]


def test_no_command_takes_a_secret_as_an_option() -> None:
    def options(command: click.Command) -> Iterator[str]:
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), name)
                assert found is not None
                yield from options(found)
        for parameter in command.params:
            yield from parameter.opts

    for name in ("payment-account", "payment", "voucher"):
        found = kibali.get_command(click.Context(kibali), name)
        assert found is not None
        assert not {"--consumer-key", "--consumer-secret", "--passkey", "--code"} & set(options(found))


def test_without_a_terminal_secrets_are_asked_for_by_no_prompt(shell: Shell) -> None:
    told = shell.refused("payment-account", "add", "--kind", "paybill", "--name", "X", "--shortcode", "600000")
    assert "--credentials FILE, or - for standard input" in told
    assert "cannot" not in told
    assert "nowhere.txt: No such file" in shell.refused(
        "payment-account", "change", "1", "--credentials", "nowhere.txt"
    )


def test_a_disabled_account_is_in_use_no_more(shell: Shell) -> None:
    made = shell.account("Second")
    assert "is disabled" in shell.says("payment-account", "disable", str(made["id"]))
    assert [row["name"] for row in shell.json("payment-account", "list")] == ["Main"]
    assert "This payment account is disabled" in shell.refused("payment-account", "register-c2b", str(made["id"]))
    assert "There is no such payment account" in shell.refused("payment-account", "show", "999")


def test_what_m_pesa_answers_ends_the_command(shell: Shell, worker: None) -> None:
    told = shell.refused("payment-account", "test", "1")
    assert told.startswith("kibali: M-Pesa does not like it. (job ")
    assert "again: ./kibali job retry" in told


def test_the_urls_are_those_of_the_api_and_need_a_public_one(shell: Shell) -> None:
    assert shell.json("payment-account", "c2b-urls", "1") == shell.shop.get("/payment-accounts/1/c2b-urls")
    nowhere = Shell(shell.shop, {**shell.environ, "KIBALI_PUBLIC_URL": ""})
    for words in (("payment-account", "c2b-urls", "1"), ("payment-account", "register-c2b", "1")):
        assert "set KIBALI_PUBLIC_URL first" in nowhere.refused(*words)
    initiate = ("payment", "initiate", "--plan-id", "1", "--phone", "0712345678")
    assert "set KIBALI_PUBLIC_URL first" in nowhere.refused(*initiate)


# Payments.


def test_payments_and_intents_are_listed_as_by_the_api(shell: Shell) -> None:
    suspended = shell.shop.in_suspense()
    asked = shell.shop.asked()
    listed = shell.json("payment", "list", "--state", "suspense")
    assert listed == shell.shop.get("/payments", state="suspense")["items"]
    assert [row["id"] for row in listed] == [suspended]
    assert shell.json("payment", "show", str(suspended)) == listed[0]
    assert shell.json("payment", "list", "--provider", "cash") == []
    assert shell.json("payment", "intents", "--phone", asked["msisdn"]) == [asked]
    assert shell.json("payment", "intent", str(asked["id"])) == asked
    assert str(suspended) in shell.says("payment", "list")
    assert "--state" in shell.refused("payment", "list", "--state", "lost")


def test_an_order_to_pay_is_written_down_with_its_job(shell: Shell) -> None:
    plan_id = str(shell.shop.plan()["id"])
    number = phone()
    asked = shell.json("payment", "initiate", "--plan-id", plan_id, "--phone", number, "--no-wait")
    assert (asked["state"], asked["msisdn"]) == ("initiated", number.removeprefix("+"))
    assert shell.shop.jobs("push_prompt") == [{"intent_id": asked["id"]}]
    again = shell.refused("payment", "initiate", "--plan-id", plan_id, "--phone", number, "--no-wait")
    assert "is being asked for a payment already" in again
    assert "--phone:" in shell.refused("payment", "initiate", "--plan-id", plan_id, "--phone", "07123")


def test_cash_is_credited_and_the_same_receipt_is_the_same_money(shell: Shell, worker: None) -> None:
    told = cash(shell.shop)
    options = [word for name, value in told.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    paid = shell.json("payment", "cash", *options)
    assert (paid["state"], paid["amount_kes"]) == ("applied", "50.00")
    assert shell.json("payment", "cash", *options)["id"] == paid["id"]
    options[options.index("--amount-kes") + 1] = "60"
    assert "--receipt: This receipt was recorded for another payment." in shell.refused("payment", "cash", *options)
    wallet = shell.json("subscriber", "wallet", str(told["subscriber_id"]))
    assert wallet["balance_kes"] == "50.00"
    assert wallet["items"] == shell.shop.get(f"/subscribers/{told['subscriber_id']}/wallet")["items"]
    assert "50.00" in shell.says("subscriber", "wallet", str(told["subscriber_id"]))


def test_what_can_not_be_decided_is_refused(shell: Shell, worker: None) -> None:
    suspended = str(shell.shop.in_suspense())
    assert "There is no such subscription" in shell.refused("payment", "assign", suspended, "--subscription-id", "99")
    assert "--memo: This field is required." in shell.refused("payment", "reverse", suspended)
    assert "There is no such payment" in shell.refused("payment", "reverse", "999", "--memo", "x")
    assert "M-Pesa does not like it. (job " in shell.refused("payment", "refund-recorded", suspended, "--memo", "x")


def test_a_job_that_nobody_does_is_waited_for_no_longer(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(office.await_job, "__defaults__", (0.2,))
    told = shell.refused("payment", "reverse", str(shell.shop.in_suspense()), "--memo", "x")
    assert "is not done yet. Are its workers up? ./kibali status" in told


def test_the_report_of_a_day_balances(shell: Shell) -> None:
    report = shell.json("payment", "report")
    assert report == shell.shop.get("/payments/report", day=report["day"])
    assert report["difference_kes"] == "0.00"
    assert shell.json("payment", "report", "--day", "2026-11-20")["day"] == "2026-11-20"
    assert "--day:" in shell.refused("payment", "report", "--day", "yesterday")


def test_the_inbox_shows_what_made_no_sense_byte_by_byte(shell: Shell) -> None:
    token = shell.shop.c2b_token(1)
    path = f"/webhooks/daraja/c2b/{token}/confirmation"
    assert shell.shop.http.post(path, content=b"\xffnot json").status_code == 200
    shell.shop.execute(
        "UPDATE webhook_inbox SET processed_at = now(), outcome = 'unreadable', error = 'not JSON' WHERE body LIKE %s",
        b"%not json",
    )
    assert shell.shop.http.post(path, content=b"{}").status_code == 200
    (row,) = shell.json("payment", "inbox", "list", "--outcome", "unreadable")
    assert (row["error"], row["kind"]) == ("not JSON", "c2b_confirmation")
    assert "body" not in row
    shown = shell.json("payment", "inbox", "show", str(row["id"]))
    assert shown == {**row, "body": "\\xffnot json"}
    assert shown == shell.shop.get(f"/payments/inbox/{row['id']}")
    assert shell.shop.get("/payments/inbox", outcome="unreadable")["items"] == [row]
    assert len(shell.json("payment", "inbox", "list")) == 2
    assert "There is no such webhook" in shell.refused("payment", "inbox", "show", "999")


def test_a_failed_job_of_payments_is_tried_again_one_by_one_or_all(shell: Shell) -> None:
    ids = []
    for _ in range(3):
        body = shell.shop.post(f"/payments/{shell.shop.in_suspense()}/reverse", {"memo": "x"}).json()
        ids.append(body["job_id"])
    shell.shop.execute("UPDATE job SET state = 'failed', finished_at = now(), error = 'E: no', attempts = 4")
    assert sorted(row["id"] for row in shell.json("queue", "failed", "payments")) == ids
    assert shell.json("job", "retry", str(ids[0]))["state"] == "pending"
    assert shell.json("queue", "retry", "payments") == {"retried": 2, "still_failed": 0}
    states = shell.shop.rows("SELECT state, attempts FROM job ORDER BY id")
    assert states == [{"state": "pending", "attempts": 0}] * 3


# Vouchers.


def test_a_batch_is_made_shown_used_and_revoked(shell: Shell, worker: None) -> None:
    plan_id = str(shell.shop.plan()["id"])
    batch = shell.json("voucher", "create", "--plan-id", plan_id, "--count", "3", "--note", "gate 4")
    assert batch == shell.json("voucher", "list")[0]
    codes = shell.json("voucher", "codes", str(batch["id"]))
    assert codes == shell.shop.get(f"/vouchers/{batch['id']}/codes")["items"]
    paid = shell.json("voucher", "redeem", "--phone", phone(), stdin=codes[0]["code"].lower() + "\n")
    assert (paid["provider"], paid["state"]) == ("voucher", "applied")
    told = shell.refused("voucher", "redeem", "--phone", phone(), stdin=codes[0]["code"])
    assert "This voucher has been used already." in told
    assert codes[0]["code"] not in told
    assert "code: standard input holds nothing." in shell.refused("voucher", "redeem", "--phone", phone(), stdin="")
    assert shell.json("voucher", "show", str(batch["id"]))["vouchers"] == {"unused": 2, "redeemed": 1, "revoked": 0}
    assert shell.says("voucher", "revoke", str(batch["id"])) == f"2 vouchers of batch {batch['id']} are revoked\n"
    assert ["revoked", "2"] in [line.split() for line in shell.says("voucher", "show", str(batch["id"])).splitlines()]
    assert "There is no such voucher batch" in shell.refused("voucher", "codes", "999")


def test_a_sheet_is_written_for_its_owner_alone(shell: Shell, tmp_path: Path) -> None:
    batch = str(shell.json("voucher", "create", "--plan-id", str(shell.shop.plan()["id"]), "--count", "2")["id"])
    file = tmp_path / "vouchers.pdf"
    assert shell.says("voucher", "sheet", batch, "--out", str(file)) == f"{file}\n"
    assert file.read_bytes().startswith(b"%PDF-")
    assert file.stat().st_mode & 0o777 == 0o600
    to_stdout = CliRunner().invoke(kibali, ["voucher", "sheet", batch, "--out", "-"], env=shell.environ)
    assert to_stdout.stdout_bytes.startswith(b"%PDF-")
    nowhere = shell.refused("voucher", "sheet", batch, "--out", str(tmp_path / "no" / "where.pdf"))
    assert "No such file or directory. With --out - your shell writes it." in nowhere
    wrong = shell.refused("voucher", "sheet", batch, "--out", str(file), "--login-url", "https://x.example")
    assert "--login-url: It must begin with https://" in wrong
    shell.says("voucher", "revoke", batch)
    assert "Nothing of this batch is unused." in shell.refused("voucher", "sheet", batch, "--out", str(file))
