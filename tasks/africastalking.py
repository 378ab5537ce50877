"""Africa's Talking's bulk SMS: POST /version1/messaging, a form with the header apiKey, answered as JSON.

A message that was taken has one of the status codes 100 to 102 for its recipient. A wrong sender ID is told in
`Message`, beside no recipients at all.
"""

import json
from typing import Any
from urllib.parse import urlencode

import httpx

from settings import Secret
from tasks.daraja_http import NoAnswer, NotSent, exchange
from tasks.sms_provider import Sent, SmsError

PRODUCTION_URL = "https://api.africastalking.com"
WITHIN_S = 20.0
_TAKEN = (100, 101, 102)
# Of the recipient's status codes those that may be others a moment later: errors of the gateway itself.
_PASSING = (500, 501)


class AfricasTalking:
    """An SmsProvider."""

    def __init__(
        self, http: httpx.Client, base_url: str, username: str, api_key: Secret, sender_id: str | None
    ) -> None:
        self._http = http
        self._url = f"{base_url.rstrip('/')}/version1/messaging"
        self._username = username
        self._api_key = api_key
        self._sender_id = sender_id

    def send(self, msisdn: str, text: str) -> Sent:
        form = {"username": self._username, "to": f"+{msisdn}", "message": text, "bulkSMSMode": "1"}
        if self._sender_id:
            form["from"] = self._sender_id
        headers = {
            "apiKey": self._api_key.reveal(),
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        content = urlencode(form).encode()
        try:
            answer = exchange(self._http, "POST", self._url, headers=headers, content=content, within_s=WITHIN_S)
        except (NotSent, NoAnswer) as error:
            raise SmsError(str(error), permanent=False) from None
        if answer.status == 401:
            raise SmsError("Africa's Talking refuses the username or the API key.", permanent=True)
        if answer.status >= 500 or answer.status == 429:
            raise SmsError(f"Africa's Talking answered {answer.status}.", permanent=False)
        return _read(answer.status, answer.body)


def _read(status: int, body: bytes) -> Sent:
    try:
        told: Any = json.loads(body)["SMSMessageData"]
        recipients, message = list(told["Recipients"]), str(told.get("Message", ""))
        if not recipients:
            raise SmsError(f"Africa's Talking took nothing: {message[:100]}", permanent=True)
        code, name = int(recipients[0]["statusCode"]), str(recipients[0].get("status", ""))
        provider_message_id = str(recipients[0].get("messageId") or "")[:100] or None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SmsError(
            f"Africa's Talking answered {status}, with what makes no sense.", permanent=status < 300
        ) from None
    if code not in _TAKEN:
        raise SmsError(f"Africa's Talking says {code} {name[:50]}.", permanent=code not in _PASSING)
    return Sent(provider_message_id)
