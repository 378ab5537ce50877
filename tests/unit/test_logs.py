"""Log lines are one JSON object each, whoever logs, and show no secret."""

import json
import subprocess
import sys

from settings import CHECKOUT

LINES = """
import logging, structlog, logs
from settings import Secret, Settings
logs.configure(Settings.load({"KIBALI_LOG_LEVEL": "info"}))
log = structlog.get_logger("isp")
with structlog.contextvars.bound_contextvars(job_id=7):
    log.info("paid", amount_kes=50, key=Secret("hunter2"))
log.debug("not shown")
logging.getLogger("sqlalchemy").warning("%s of %s", 1, 2)
try:
    password = "hunter2"
    raise ValueError("two\\nlines")
except ValueError:
    log.exception("failed")
"""


def test_lines_are_json_and_hide_secrets() -> None:
    run = subprocess.run([sys.executable, "-c", LINES], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    paid, library, failed = map(json.loads, run.stderr.splitlines())
    assert run.stdout == ""
    assert (paid["message"], paid["level"], paid["logger"], paid["job_id"]) == ("paid", "info", "isp", 7)
    assert paid["amount_kes"] == 50
    assert (library["message"], library["level"]) == ("1 of 2", "warning")
    assert "ValueError: two" in failed["exception"]
    assert "hunter2" not in run.stderr


def test_a_line_that_can_not_be_written_ends_nothing() -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-c", LINES + "print('went on')"], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=full
        )
    assert run.stdout == b"went on\n"
