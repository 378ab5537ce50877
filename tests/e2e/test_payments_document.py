"""docs/payments.md, run: every command on that page, in its order, against a whole Kibali and a fake M-Pesa.

The page's ids are those that the commands before made, on the machine of a first run.
"""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from settings import CHECKOUT
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, DarajaControl
from tests.instance import RunningInstance, stopped_instance
from tests.servers import UNPRIVILEGED, kibali_command, process_environ

PAGE = (CHECKOUT / "docs" / "payments.md").read_text("utf-8")
COMMANDS = [
    line.removeprefix("./kibali ")
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
PAYBILL, STORE, TILL = "600000", "600001", "5123456"
CREDENTIALS = f"consumer_key={CONSUMER_KEY}\nconsumer_secret={CONSUMER_SECRET}\npasskey={PASSKEY}\n"


@dataclass
class Reader:
    """Somebody who follows the page."""

    kibali: RunningInstance
    daraja: DarajaControl
    desk: Path
    said: dict[str, str] = field(default_factory=dict)
    """What each command printed."""

    def run(self, line: str) -> None:
        words = shlex.split(line)
        here = {"daraja.txt": str(self.desk / "daraja.txt"), "vouchers.pdf": str(self.desk / "vouchers.pdf")}
        done = subprocess.run(
            kibali_command(*(here.get(word, word) for word in words)),
            cwd=CHECKOUT,
            env=process_environ(self.kibali.environ),
            input=self.typed(line),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        self.said[line] = done.stdout

    def typed(self, line: str) -> str:
        """What the command asks for."""
        if line.startswith("sms gateway set --provider africastalking"):
            return "atsk_api-key\n"
        if not line.startswith("voucher redeem"):
            return ""
        codes = self.kibali.kibali("voucher", "codes", "1").stdout.splitlines()
        return codes[1].split()[1] + "\n"

    def prepare(self, line: str) -> None:
        """What happens in the world before the command makes sense."""
        if line == "payment list --state suspense":
            for amount_kes in (50, 70):
                assert self.daraja.pay_by_hand("254712000003", amount_kes, "NOBODY", PAYBILL, validated=False)
            self.daraja.wait_until_idle()
            self.until("SELECT count(*) = 2 FROM payment WHERE state = 'suspense'")
        if line == "job retry 1":
            self.execute("UPDATE job SET state = 'failed', error = 'E: no' WHERE id = 1")
        if line == "queue retry payments":
            self.execute("UPDATE job SET state = 'failed', error = 'E: no' WHERE task = 'check_credentials'")

    def execute(self, statement: str) -> object:
        with psycopg.connect(self.kibali.settings.database_admin_dsn("kibali")) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def until(self, statement: str) -> None:
        deadline = time.monotonic() + 20
        while not self.execute(statement):
            assert time.monotonic() < deadline, statement
            time.sleep(0.05)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with fake_daraja() as daraja, stopped_instance() as instance:
        daraja.add_account(PAYBILL)
        daraja.add_account(STORE, tills=(TILL,))
        # As the page says to set it; on loopback, where the fake can call it, and with the fake in Safaricom's place.
        public = {"KIBALI_PUBLIC_URL": f"http://127.0.0.1:{instance.environ['KIBALI_HTTP_PORT']}"}
        kibali = RunningInstance({**instance.environ, **public, "KIBALI_DARAJA_URL": daraja.url})
        up = kibali.kibali("up", "--detach")
        assert up.returncode == 0, up.stderr
        desk = kibali.settings.var / "desk"
        desk.mkdir()
        (desk / "daraja.txt").write_text(CREDENTIALS, "utf-8")
        if UNPRIVILEGED:
            os.chown(desk, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
        yield Reader(kibali, daraja, desk)


def test_the_page_goes_through_all_there_is() -> None:
    kinds = {" ".join(command.split()[:2]) for command in COMMANDS}
    for kind in (
        "demo pay",
        *(f"payment-account {name}" for name in ("add", "list", "test", "register-c2b", "c2b-urls", "disable")),
        *(f"payment {name}" for name in ("initiate", "list", "cash", "assign", "refund-recorded", "reverse", "report")),
        *(f"voucher {name}" for name in ("create", "list", "sheet", "redeem", "show", "revoke")),
        "subscriber wallet",
    ):
        assert kind in kinds, kind


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_works(reader: Reader, line: str) -> None:
    """In the order of the page: each rests on those before it."""
    reader.prepare(line)
    reader.run(line)


def test_the_commands_did_what_the_page_says(reader: Reader) -> None:
    """Runs last."""
    said = reader.said
    assert list(said) == COMMANDS
    assert "Access-Accept" in said["demo pay 0712345678"]
    assert "The customer is told: " in said["demo pay 0712345679 --fails cancelled"]
    assert "state               paid" in said["payment initiate --plan-id 1 --phone 0712000001"]
    assert (reader.desk / "vouchers.pdf").read_bytes().startswith(b"%PDF-")
    assert "unused       41" in said["voucher show 1"]
    assert "41 vouchers of batch 1 are revoked" in said["voucher revoke 1"]
    assert "Demo ISP: this is a test by Kibali." in said["sms show 1"]
    assert "difference kes  0.00" in said["payment report"]
    assert reader.execute("SELECT sum(amount_kes) = 0 FROM ledger_entry")
    states = [reader.execute(f"SELECT state FROM payment WHERE id = {payment_id}") for payment_id in (3, 5, 6)]
    assert states == ["reversed", "applied", "refunded"]
    shown = "".join(said.values())
    for secret in (CONSUMER_KEY, CONSUMER_SECRET, PASSKEY):
        assert secret not in shown
