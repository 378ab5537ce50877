"""`kibali bench payments --quick`: every payment is credited once and lets its customer in. How fast is not judged."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.payment_books import PaymentBooks
from settings import CHECKOUT, Settings
from tests.servers import UNPRIVILEGED, base_environ, process_environ

_WITHIN_S = 240  # alone it takes half a minute


@pytest.fixture
def bench_var(var: Path) -> Path:
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    return var


def bench_payments(environ: Mapping[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli", "bench", "payments", *options],
        cwd=CHECKOUT,
        env=process_environ(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )


@pytest.mark.timeout(_WITHIN_S + 20)
def test_every_payment_is_credited_once_and_lets_its_customer_in(bench_var: Path) -> None:
    run = bench_payments(base_environ(bench_var), "--quick", "--json")
    assert run.returncode == 0, run.stderr
    assert list(bench_var.iterdir()) == [], "nothing is left behind"
    points: list[dict[str, Any]] = json.loads(run.stdout)["points"]
    assert [(point["peer"], point["offered_per_s"]) for point in points] == [
        ("bare", 50),
        ("bare", 0),
        ("kibali", 50),
        ("kibali", 0),
    ]
    for point in points:
        assert (point["fault"], point["refused"]) == ("", 0), point
        assert 0 < point["p50_ms"] <= point["p99_ms"], point
        assert (point["applied_per_s"] > 0) == (point["peer"] == "kibali"), point
    assert points[2]["logins"] > 0
    assert 0 < points[2]["login_p50_ms"] <= points[2]["login_p99_ms"]


@pytest.mark.parametrize("rates", ["much", "0", ""])
def test_rates_that_make_no_sense_are_refused(bench_var: Path, rates: str) -> None:
    run = bench_payments(base_environ(bench_var), "--rates", rates or ",")
    assert run.returncode == 2
    assert "--rates: whole numbers above 0" in run.stderr


def test_a_payment_that_is_lost_or_credited_twice_is_noticed(settings: Settings) -> None:
    books = PaymentBooks(settings, subscribers=4)
    books.fill()
    books.reset()
    prompts = books.prompts(2)
    assert "2 customers paid; there are 0 payments" in books.fault(2)
    with books.connection() as connection:
        for number in range(2):
            connection.execute(
                "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, intent_id, paid_at, received_at,"
                " booked_at, applied_at, state) SELECT tenant_id, 'daraja', %s, 1000, id, now(), now(), now(), now(),"
                " 'applied' FROM payment_intent WHERE id = %s",
                (f"TWICE{number}", prompts[0].intent_id),
            )
    assert "validities" in books.fault(2)
