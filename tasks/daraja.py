"""A thin client of M-Pesa Daraja. Its answers come as the types of isp/payment.py; it knows neither database nor queue.

A push is sent once. What is repeated, a few times, is asking for a token and asking what became of a push: there a
second question does no harm.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import httpx

from isp.daraja import DarajaFieldError, Merchant, StkPush, register_url_body, stk_push_body, stk_query_body
from isp.daraja_answers import error_body, is_token_refused, parse_register_url, parse_stk_push, parse_stk_query
from isp.daraja_json import BadMessage
from isp.daraja_pull import PulledPage, parse_pull_registered, parse_pulled, pull_query_body, pull_register_body
from isp.daraja_results import NOT_SENT
from isp.payment import PushOutcome, QueryOutcome, Rejected, Unanswered, Unknown
from settings import Secret
from tasks.daraja_http import Answer, NoAnswer, NotSent, exchange
from tasks.daraja_token import Token, TokenStore, parse_token, shared_token

SANDBOX_URL = "https://sandbox.safaricom.co.ke"
PRODUCTION_URL = "https://api.safaricom.co.ke"

# Codes of pushes that we refuse ourselves.
BAD_FIELD = "400.002.02"  # as Daraja would
BAD_CREDENTIALS = "bad_credentials"

# Shorter ones may be in an answer by chance.
_SHORTEST_SECRET = 8


class DarajaError(Exception):
    """Daraja did not do what it was asked, or we could not ask. `permanent`: until an operator changes something."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of the app that the merchant made at Daraja."""

    consumer_key: str
    consumer_secret: Secret


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one exchange may take, and how long to wait before each further try of those that may be repeated."""

    push_within_s: float = 30.0
    query_within_s: float = 15.0
    token_within_s: float = 8.0
    pauses_s: tuple[float, ...] = (0.5,)


class Daraja:
    """One payment account at Daraja."""

    def __init__(
        self,
        http: httpx.Client,
        base_url: str,
        credentials: Credentials,
        merchant: Merchant,
        tokens: TokenStore,
        patience: Patience = Patience(),
    ) -> None:
        """`http` is of `make_http`. All workers of the account use the same `tokens`."""
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._https_only = not self._base_url.startswith("http://")
        self._credentials = credentials
        self._merchant = merchant
        self._tokens = tokens
        self._patience = patience

    def stk_push(self, push: StkPush, now: datetime) -> PushOutcome:
        """Asks the customer's phone, once. Rejected only where nobody can have been asked."""
        try:
            body = stk_push_body(self._merchant, push, now, https_only=self._https_only)
            within_s = self._patience.push_within_s
            answer = self._authorized("/mpesa/stkpush/v1/processrequest", body, now, within_s)
        except DarajaFieldError as error:
            return Rejected(BAD_FIELD, str(error), permanent=True)
        except DarajaError as error:
            return Rejected(BAD_CREDENTIALS if error.permanent else NOT_SENT, str(error), error.permanent)
        except NotSent as error:
            return Rejected(NOT_SENT, str(error), permanent=False)
        except NoAnswer as error:
            return Unanswered(str(error))
        return parse_stk_push(answer.status, answer.body)

    def stk_query(self, checkout_request_id: str, now: datetime) -> QueryOutcome:
        """What became of a push, as far as Daraja tells."""

        def ask() -> Answer:
            body = stk_query_body(self._merchant, checkout_request_id, now)
            return self._authorized("/mpesa/stkpushquery/v1/query", body, now, self._patience.query_within_s)

        try:
            answer = self._repeated(ask)
        except (DarajaFieldError, DarajaError, NotSent, NoAnswer) as error:
            return Unknown(str(error))
        return parse_stk_query(answer.status, answer.body, checkout_request_id)

    def register_urls(
        self,
        confirmation_url: str,
        validation_url: str,
        now: datetime,
        *,
        if_unanswered: Literal["Completed", "Cancelled"] = "Completed",
    ) -> None:
        """Tells M-Pesa where to send C2B payments. Raises DarajaError."""
        answer = self._asked(
            "/mpesa/c2b/v2/registerurl",
            lambda: register_url_body(
                self._merchant.shortcode,
                confirmation_url,
                validation_url,
                if_unanswered=if_unanswered,
                https_only=self._https_only,
            ),
            now,
        )
        refusal = parse_register_url(answer.status, answer.body)
        if refusal is not None:
            raise DarajaError(f"Daraja did not register the URLs: {refusal.message}", permanent=refusal.permanent)

    def register_pull(self, nominated_msisdn: str, callback_url: str, now: datetime) -> None:
        """Has M-Pesa keep what is paid to the merchant, for `pull`. Raises DarajaError."""
        shortcode, https_only = self._merchant.party_b, self._https_only
        answer = self._asked(
            "/pulltransactions/v1/register",
            lambda: pull_register_body(shortcode, nominated_msisdn, callback_url, https_only=https_only),
            now,
        )
        refusal = parse_pull_registered(answer.status, answer.body)
        if refusal is not None:
            raise DarajaError(f"Daraja did not register the shortcode: {refusal.message}", permanent=refusal.permanent)

    def pull(self, since: datetime, until: datetime, offset: int, now: datetime) -> PulledPage:
        """What was paid to the merchant between, from the row `offset` on. Raises DarajaError."""
        answer = self._asked(
            "/pulltransactions/v1/query",
            lambda: pull_query_body(self._merchant.party_b, since, until, offset),
            now,
        )
        try:
            return parse_pulled(answer.status, answer.body, now)
        except BadMessage as bad:
            is_refused = 400 <= answer.status < 500 and answer.status not in (408, 429)
            raise DarajaError(f"Daraja tells no payments: {bad.reason}", permanent=is_refused) from None

    def _asked(self, path: str, make_body: Callable[[], dict[str, object]], now: datetime) -> Answer:
        """Raises DarajaError."""
        try:
            return self._authorized(path, make_body(), now, self._patience.query_within_s)
        except DarajaFieldError as error:
            raise DarajaError(str(error), permanent=True) from None
        except (NotSent, NoAnswer) as error:
            raise DarajaError(f"{error}. Try again.", permanent=False) from None

    def check_credentials(self, now: datetime) -> None:
        """Asks for a new token, and keeps it for all workers. Raises DarajaError."""
        with self._tokens.lock():
            self._tokens.put(self._fetch_token(now))

    def _authorized(self, path: str, body: dict[str, object], now: datetime, within_s: float) -> Answer:
        """POST with the shared token, and once more with another where that was refused: then nothing was done yet.

        Raises DarajaError without a token, NotSent, NoAnswer.
        """
        token = shared_token(self._tokens, lambda: self._fetch_token(now), now)
        answer = self._post(path, body, token, within_s)
        if is_token_refused(answer.status, answer.body):
            token = shared_token(self._tokens, lambda: self._fetch_token(now), now, refused=token)
            answer = self._post(path, body, token, within_s)
        return answer

    def _post(self, path: str, body: dict[str, object], token: Secret, within_s: float) -> Answer:
        headers = {"Authorization": f"Bearer {token.reveal()}"}
        answer = exchange(self._http, "POST", self._base_url + path, headers=headers, json=body, within_s=within_s)
        return self._without_secrets(answer, token.reveal(), str(body.get("Password", "")))

    def _fetch_token(self, now: datetime) -> Token:
        """Raises DarajaError."""
        key, secret = self._credentials.consumer_key, self._credentials.consumer_secret.reveal()
        basic = base64.b64encode(f"{key}:{secret}".encode()).decode()
        url = f"{self._base_url}/oauth/v1/generate?grant_type=client_credentials"

        def ask() -> Answer:
            within_s = self._patience.token_within_s
            answer = exchange(self._http, "GET", url, headers={"Authorization": f"Basic {basic}"}, within_s=within_s)
            return self._without_secrets(answer, basic)

        try:
            answer = self._repeated(ask)
            if answer.status == 200:
                return parse_token(answer.body, now)
        except (NotSent, NoAnswer) as error:
            raise DarajaError(f"Daraja gave no token: {error}.", permanent=False) from None
        except BadMessage as bad:
            raise DarajaError(f"Daraja gave no token: HTTP 200, but {bad.reason}.", permanent=False) from None
        raise _no_token(answer)

    def _repeated(self, ask: Callable[[], Answer]) -> Answer:
        """The first answer that is no trouble of Daraja's own; after the last try, what that brought or raised."""
        for pause_s in self._patience.pauses_s:
            try:
                answer = ask()
            except (NotSent, NoAnswer):
                pass
            else:
                if not _is_own_trouble(answer):
                    return answer
            time.sleep(pause_s)
        return ask()

    def _without_secrets(self, answer: Answer, *sent: str) -> Answer:
        """The answer, should it repeat what it was sent: its words are shown to operators."""
        body = answer.body
        for secret in (*sent, self._credentials.consumer_secret.reveal(), self._merchant.passkey):
            if len(secret) >= _SHORTEST_SECRET:
                body = body.replace(secret.encode(), b"...")
        return Answer(answer.status, body)


def _no_token(answer: Answer) -> DarajaError:
    said = f"Daraja gave no token: {error_body(answer.body).described(answer.status)}."
    if 300 <= answer.status < 400:
        return DarajaError(f"{said} That is a redirect: check the base URL.", permanent=True)
    if 400 <= answer.status < 500 and answer.status not in (408, 429):
        return DarajaError(f"{said} Check the consumer key, the consumer secret and the base URL.", permanent=True)
    return DarajaError(said, permanent=False)


def _is_own_trouble(answer: Answer) -> bool:
    """Whether Daraja could not answer. An error with a code of its own is an answer."""
    return answer.status == 429 or (answer.status >= 500 and not error_body(answer.body).code)
