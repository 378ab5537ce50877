"""`./kibali demo pay`: from a fresh `up` to a login, or to the sentence that a customer is told; it leaves nothing."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from cli.demo_pay import FAILURES
from cli.instance.processes import PROC, is_alive, pids
from settings import CHECKOUT
from tests.instance import RunningInstance, running_instance
from tests.servers import kibali_command, process_environ


@pytest.fixture(scope="module")
def kibali() -> Iterator[RunningInstance]:
    with running_instance() as instance:
        yield instance


def rows(kibali: RunningInstance, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(kibali.settings.database_admin_dsn("kibali"), row_factory=dict_row) as connection:
        return connection.execute(statement).fetchall()


def fakes() -> set[int]:
    """Processes that are a fake Daraja."""

    def is_fake(pid: int) -> bool:
        try:
            return b"tests.fakes.daraja" in (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return False

    return {pid for pid in pids() if is_fake(pid)}


def test_a_payment_is_shown_from_the_intent_to_the_accept(kibali: RunningInstance) -> None:
    before = fakes()
    demo = kibali.kibali("demo", "pay", "0712 345 678")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    in_order = [
        "A fake M-Pesa listens",
        "payment intent 1 is committed",
        '"TransactionType": "CustomerPayBillOnline"',
        "The phone of 254712345678 asks: pay KES 1000",
        '"ResultCode":0',
        "payment 1 of KES 1000.00, receipt",
        "subscription 2, active",
        "username 254712345678  password ",
        "← Access-Accept",
        "the customer is online",
    ]
    places = [demo.stdout.find(text) for text in in_order]
    assert -1 not in places, dict(zip(in_order, places, strict=True))
    assert places == sorted(places)
    times = [float(text) for text in re.findall(r"^ +([0-9]+\.[0-9]{3}) s  ", demo.stdout, flags=re.MULTILINE)]
    assert times == sorted(times)
    assert times[0] == 0
    for secret in ('"Password": "…"', '"CallBackURL": "…"'):
        assert secret in demo.stdout
    assert rows(kibali, "SELECT state, receipt IS NOT NULL AS has_receipt FROM payment") == [
        {"state": "applied", "has_receipt": True}
    ]
    assert fakes() <= before
    assert rows(kibali, "SELECT FROM payment_account WHERE disabled_at IS NULL") == []


def test_the_same_phone_is_not_asked_again_at_once(kibali: RunningInstance) -> None:
    demo = kibali.kibali("demo", "pay", "+254712345678")
    assert demo.returncode == 1
    said = re.sub("[0-9]+", "N", demo.stderr)
    assert said == (
        "kibali: M-Pesa asks a phone again only after a pause: try in N seconds. Or give another phone number.\n"
    )
    assert rows(kibali, "SELECT FROM payment_account WHERE disabled_at IS NULL") == []


@pytest.mark.parametrize(("number", "fails"), list(enumerate(FAILURES)))
def test_a_customer_who_does_not_pay_is_told_why_and_nothing_is_credited(
    number: int, fails: str, kibali: RunningInstance
) -> None:
    demo = kibali.kibali("demo", "pay", f"072200000{number}", "--fails", fails)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    told = re.search(r"The customer is told: (.+)", demo.stdout)
    assert told
    assert len(told[1].split()) > 3
    assert "No payment was recorded" in demo.stdout
    assert "Access-Accept" not in demo.stdout
    (intent,) = rows(kibali, f"SELECT * FROM payment_intent WHERE msisdn = '25472200000{number}'")
    assert (intent["state"], intent["failure_reason"]) == ("failed", told[1])
    assert rows(kibali, f"SELECT FROM payment WHERE intent_id = {intent['id']}") == []


def test_a_payment_of_too_little_waits_in_the_wallet(kibali: RunningInstance) -> None:
    demo = kibali.kibali("demo", "pay", "0733000001", "--amount-kes", "10")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "KES 10.00 stay in the wallet" in demo.stdout
    assert "Access-Accept" not in demo.stdout


def test_the_fake_dies_with_a_demo_that_is_killed(kibali: RunningInstance) -> None:
    before = fakes()
    with subprocess.Popen(
        kibali_command("demo", "pay", "0733000002"),
        cwd=CHECKOUT,
        env=process_environ(kibali.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        assert any("A worker sends" in line for line in demo.stdout)
        mine = fakes() - before
        assert mine
        demo.send_signal(signal.SIGKILL)
        demo.wait(10)
    deadline = time.monotonic() + 10
    while any(is_alive(pid) for pid in mine):
        assert time.monotonic() < deadline, "the fake outlived the demo"
        time.sleep(0.05)
    # Of what it left, nothing is in the way of the next.
    again = kibali.kibali("demo", "pay", "0733000003")
    assert again.returncode == 0, again.stdout + again.stderr


def test_the_first_demo_works_as_before(kibali: RunningInstance) -> None:
    demo = kibali.kibali("demo")
    assert demo.returncode == 0, demo.stderr
    assert "every octet counted once" in demo.stdout


def test_without_its_worker_it_says_so_at_once_and_starts_nothing(kibali: RunningInstance) -> None:
    assert kibali.kibali("down").returncode == 0
    demo = kibali.kibali("demo", "pay", "0712345678")
    assert (demo.returncode, demo.stdout) == (1, "")
    assert re.fullmatch(
        r"kibali: worker-payments is not ready \(.*\)\. Start Kibali with \./kibali up\.\n", demo.stderr
    )


@pytest.mark.parametrize("phone", ["07123", "0203334444", "+1 202 555 0100", "2547 ***** 126", ""])
def test_a_phone_that_is_none_is_refused_in_one_line(phone: str, kibali: RunningInstance) -> None:
    demo = kibali.kibali("demo", "pay", "--", phone)
    assert (demo.returncode, demo.stdout) == (1, "")
    assert demo.stderr.endswith("is no mobile number of Kenya. Write it as 0712345678 or +254712345678.\n")
