"""The handle on a running fake Daraja, in this process or another: how it shall behave, and what truly happened."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

CONSUMER_KEY = "fake-consumer-key"
CONSUMER_SECRET = "fake-consumer-secret"
PASSKEY = "fake-passkey-of-the-merchant"
PAYBILL = "174379"
STORE, TILL = "300584", "5123456"


@dataclass(frozen=True, slots=True)
class DarajaControl:
    """`url` is Daraja's base URL."""

    url: str

    def behave(self, *, phone: str | None = None, amount_kes: int | None = None, **behaviour: Any) -> None:
        """Treats pushes to that phone, else of that amount, else all others so: `preset=` and fields of Behaviour."""
        self._post("behaviour", {"phone": phone, "amount_kes": amount_kes, "behaviour": behaviour})

    def rules(self, **rules: Any) -> None:
        """`duplicate_window_s` (0: off), `one_prompt_per_phone`, `token_fault` (404, 400, 401), `token_life_s`."""
        self._post("rules", rules)

    def add_account(self, shortcode: str, passkey: str = PASSKEY, tills: tuple[str, ...] = ()) -> None:
        self._post("accounts", {"shortcode": shortcode, "passkey": passkey, "tills": tills})

    def add_app(self, consumer_key: str, consumer_secret: str) -> None:
        self._post("apps", {"consumer_key": consumer_key, "consumer_secret": consumer_secret})

    def invalidate_tokens(self) -> None:
        self._post("tokens/invalidate", {})

    def pay_by_hand(
        self, msisdn: str, amount_kes: int, bill_ref: str = "", shortcode: str = PAYBILL, **options: Any
    ) -> str | None:
        """The receipt; None if our validation turned the payment away.

        Options: `form` (masked, hashed, plain), `validated`, `deliveries`.
        """
        told = {"msisdn": msisdn, "amount_kes": amount_kes, "bill_ref": bill_ref, "shortcode": shortcode, **options}
        receipt: str | None = self._post("c2b", told)["receipt"]
        return receipt

    def payments(self) -> list[dict[str, Any]]:
        """Every payment that a customer made, oldest first: receipt, msisdn, amount_kes, account_reference …"""
        return list(self.state()["payments"])

    def state(self) -> dict[str, Any]:
        """`payments`, `prompts`, `deliveries`, `tokens_given`, `faults` (the error answers), `idle`."""
        state: dict[str, Any] = self._request("GET", "state")
        return state

    def wait_until_idle(self, within_s: float = 30.0) -> None:
        """Until every customer has decided and everything is told."""
        deadline = time.monotonic() + within_s
        while not self._request("GET", "idle")["idle"]:
            if time.monotonic() > deadline:
                raise TimeoutError("the fake Daraja still has something to tell")
            time.sleep(0.01)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("POST", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        answer = httpx.request(method, f"{self.url}/_fake/{path}", timeout=30, trust_env=False, verify=False, **options)
        if answer.status_code != 200:
            raise AssertionError(f"the fake Daraja answered {answer.status_code}: {answer.text}")
        return answer.json()
