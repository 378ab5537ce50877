"""The fake Daraja of the tests as a process of its own, for the demo of a payment."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from cli.failure import Failure
from settings import CHECKOUT, PREFIX

_STARTS_WITHIN_S = 30
_ENDS_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class FakeDaraja:
    """`url` is Daraja's base URL; below `/_fake` it is told how to behave, and says what happened."""

    url: str
    paybill: str
    credentials: dict[str, str]

    def behave(self, phone: str, **behaviour: Any) -> None:
        self._ask("POST", "behaviour", {"phone": phone, "amount_kes": None, "behaviour": behaviour})

    def prompts(self) -> list[dict[str, Any]]:
        """Every push that it took, oldest first."""
        return list(self._ask("GET", "state")["prompts"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = httpx.request(method, f"{self.url}/_fake/{path}", json=body, timeout=5, trust_env=False)
            return answer.raise_for_status().json()
        except httpx.HTTPError as error:
            raise Failure(f"the fake Daraja does not answer ({type(error).__name__}).") from None


@contextmanager
def fake_daraja() -> Iterator[FakeDaraja]:
    """A running one on a free port of loopback; it is gone when this process is, however that ends. Raises Failure."""
    if not (CHECKOUT / "tests" / "fakes" / "daraja.py").exists():
        raise Failure("the fake Daraja lies in tests/, which is not here. Run the demo in a whole checkout.")
    command = [sys.executable, "-m", "tests.fakes.daraja", "--port", "0", "--json"]
    # It is a stranger to Kibali, and gets none of its settings.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "--", *command],
        cwd=CHECKOUT,
        env={**environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo, which then ends it
    )
    try:
        yield _told_by(process)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _told_by(process: subprocess.Popen[str]) -> FakeDaraja:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(_STARTS_WITHIN_S) else ""
    if not line:
        raise Failure("the fake Daraja did not start. Try `python -m tests.fakes.daraja` by hand.")
    return FakeDaraja(**json.loads(line))
