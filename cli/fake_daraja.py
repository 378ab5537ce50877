"""The fake Daraja of the tests as a process of its own, for the demo of a payment."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from cli.failure import Failure
from cli.fake_process import fake_process


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
    with fake_process("daraja", "the fake Daraja", "--port", "0", "--json") as line:
        yield FakeDaraja(**json.loads(line))
