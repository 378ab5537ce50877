"""The fake's gateway: who may ask, whether the question is in order, what is answered."""

import asyncio
import base64
import secrets
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from json import JSONDecodeError
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from tests.fakes import daraja_rules as rules
from tests.fakes.daraja_behaviour import REFUSING, Behaviours
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, STORE, TILL
from tests.fakes.daraja_messages import result_desc, stamp
from tests.fakes.daraja_mpesa import Mpesa, Prompt, Registration
from tests.fakes.daraja_rules import Fault

_REFUSALS = {"busy": rules.SPIKE_ARREST, "quota": rules.QUOTA, "locked": rules.SUBSCRIBER_LOCKED}


class Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class Gateway:
    def __init__(self, mpesa: Mpesa) -> None:
        self.mpesa = mpesa
        self.behaviours = Behaviours()
        self.apps = {CONSUMER_KEY: CONSUMER_SECRET}
        self.accounts = {
            PAYBILL: rules.Account(PASSKEY),
            STORE: rules.Account(PASSKEY, frozenset({TILL})),
        }
        self.tokens: dict[str, tuple[str, float]] = {}
        """By consumer key, the one that is good, and until when (monotonic)."""
        self.tokens_given = 0
        self.token_life_s = 3599
        self.token_fault = 404
        self.faults: list[Fault] = []
        self.pulled: set[str] = set()
        """Shortcodes that are registered for Pull Transactions."""
        self.pull_page = 50
        self._turned_away: Counter[str] = Counter()

    async def token(self, request: Request) -> Response:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            key, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            key = secret = ""
        if request.query_params.get("grant_type") != "client_credentials":
            raise Refused(Fault(400, "400.008.02", "Invalid grant type passed"))
        if scheme != "Basic" or not secret or self.apps.get(key) != secret:
            raise Refused(Fault(400, "400.008.01", "Invalid Authentication passed"))
        token = secrets.token_urlsafe(21)
        self.tokens[key] = token, time.monotonic() + self.token_life_s
        self.tokens_given += 1
        return JSONResponse({"access_token": token, "expires_in": str(self.token_life_s)})

    async def push(self, request: Request) -> Response:
        body = await self._authorized(request)
        if fault := rules.broken_by_push(body, self.accounts, datetime.now(UTC)):
            raise Refused(fault)
        behaviour = self.behaviours.choose(str(body["PhoneNumber"]), int(body["Amount"]))
        if behaviour.answer in REFUSING:
            raise Refused(_REFUSALS[behaviour.answer])
        if self._turned_away[str(body["PhoneNumber"])] < behaviour.busy_pushes:
            self._turned_away[str(body["PhoneNumber"])] += 1
            raise Refused(rules.SPIKE_ARREST)
        if self.mpesa.is_being_prompted(str(body["PhoneNumber"])):
            raise Refused(rules.SUBSCRIBER_LOCKED)
        prompt = self.mpesa.prompt(body, behaviour)
        if behaviour.before_the_answer:
            await prompt.told.wait()
        return await _answer(request, prompt)

    async def query(self, request: Request) -> Response:
        body = await self._authorized(request)
        if fault := rules.broken_by_signature(body, self.accounts, datetime.now(UTC)):
            raise Refused(fault)
        prompt = self.mpesa.prompts.get(str(body.get("CheckoutRequestID")))
        if prompt is None:
            raise Refused(rules.invalid("CheckoutRequestID"))
        if prompt.result_code is None:
            raise Refused(rules.STILL_PROCESSING)
        prompt.queries += 1
        if prompt.queries <= prompt.behaviour.pending_queries:
            raise Refused(rules.STILL_PROCESSING)
        told = prompt.behaviour.query_result_code
        code = prompt.result_code if told is None else told
        return JSONResponse(
            {
                "ResponseCode": "0",
                "ResponseDescription": "The service request has been accepted successsfully",
                "MerchantRequestID": prompt.merchant_request_id,
                "CheckoutRequestID": prompt.checkout_request_id,
                "ResultCode": str(code),
                "ResultDesc": result_desc(code),
            }
        )

    async def register(self, request: Request) -> Response:
        body = await self._authorized(request)
        if fault := rules.broken_by_registration(body, self.accounts):
            raise Refused(fault)
        self.mpesa.registrations[str(body["ShortCode"])] = Registration(
            body["ConfirmationURL"],
            body["ValidationURL"],
            body["ResponseType"],
            "hashed" if request.path_params["version"] == "v1" else "masked",
        )
        # "OriginatorCoversationID" is how Safaricom spells it.
        told = {"OriginatorCoversationID": secrets.token_hex(8), "ResponseCode": "0", "ResponseDescription": "Success"}
        return JSONResponse(told)

    async def register_pull(self, request: Request) -> Response:
        body = await self._authorized(request)
        if fault := rules.broken_by_pull_registration(body, self.accounts):
            raise Refused(fault)
        known = str(body["ShortCode"]) in self.pulled
        self.pulled.add(str(body["ShortCode"]))
        # Spelt so in Daraja's example.
        return JSONResponse(
            {
                "ResponseRefID": secrets.token_hex(8),
                "Response Status": "1001" if known else "1000",
                "ShortCode": body["ShortCode"],
                "Response Description": f"ShortCode {'already Registered' if known else 'Registered Successfully'}",
            }
        )

    async def pull(self, request: Request) -> Response:
        body = await self._authorized(request)
        if fault := rules.broken_by_pull(body, self.pulled, datetime.now(UTC)):
            raise Refused(fault)
        since, until = rules.pull_window(body)
        rows = [
            {
                "transactionId": payment.receipt,
                "trxDate": f"{stamp(payment.paid_at, '%Y-%m-%dT%H:%M:%S')}+03:00",
                "msisdn": f"{payment.msisdn[:5]}****{payment.msisdn[-3:]}",
                "sender": "MPESA",
                "transactiontype": "c2b-pay-bill-debit" if payment.account_reference else "c2b-buy-goods-debit",
                "billreference": payment.account_reference,
                "amount": f"{payment.amount_kes}.00",
                "organizationname": "Daraja Pull API Test",
            }
            for payment in self.mpesa.payments
            # The query tells whole seconds.
            if payment.shortcode == str(body["ShortCode"]) and since <= payment.paid_at.replace(microsecond=0) <= until
        ]
        begin = int(str(body["OffSetValue"]))
        told = {"ResponseRefID": secrets.token_hex(8), "ResponseCode": "1000", "ResponseMessage": "Success"}
        return JSONResponse({**told, "Response": [rows[begin : begin + self.pull_page]]})

    async def _authorized(self, request: Request) -> dict[str, Any]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        good = {value for value, until in self.tokens.values() if until > time.monotonic()}
        if scheme != "Bearer" or token not in good:
            raise Refused(rules.TOKEN_FAULTS[self.token_fault])
        with suppress(JSONDecodeError, UnicodeDecodeError):
            body = await request.json()
            if isinstance(body, dict) and request.headers.get("content-type", "").startswith("application/json"):
                return body
        raise Refused(rules.invalid("Payload"))

    def refuse(self, _request: Request, refused: Exception) -> Response:
        assert isinstance(refused, Refused)
        fault = refused.fault
        self.faults.append(fault)
        told = {"requestId": secrets.token_hex(8), "errorCode": fault.code, "errorMessage": fault.message}
        return JSONResponse(told, fault.status)


async def _answer(request: Request, prompt: Prompt) -> Response:
    accepted = {
        "MerchantRequestID": prompt.merchant_request_id,
        "CheckoutRequestID": prompt.checkout_request_id,
        "ResponseCode": "0",
        "ResponseDescription": "Success. Request accepted for processing",
        "CustomerMessage": "Success. Request accepted for processing",
    }
    match prompt.behaviour.answer:
        case "server_error":
            return PlainTextResponse("Internal Server Error", 500)
        case "html":
            return HTMLResponse("<html><body>Service unavailable</body></html>")
        case "empty":
            return Response(b"")
        case "not_an_object":
            return JSONResponse([accepted])
        case "silence":
            while not await request.is_disconnected():
                await asyncio.sleep(0.05)
            return Response(b"")
        case "hang_up":
            # The server ends a connection whose answer is shorter than it said.
            return Response(b"", headers={"content-length": "100"})
    return JSONResponse(accepted)
