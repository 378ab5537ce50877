"""Daraja's answers to our requests, read: HTTP status and body in, what they mean out."""

from dataclasses import dataclass

from isp import daraja_json
from isp.daraja_json import BadMessage, JsonObject
from isp.daraja_results import PUSH_ERROR, SUBSCRIBER_LOCKED, outcome_of
from isp.payment import Accepted, Pending, PushOutcome, QueryOutcome, Rejected, Unanswered, Unknown

_BUSY = ("500.003.02", "500.003.03")  # spike arrest, quota: the gateway's, in front of M-Pesa
_TOKEN_REFUSED = ((404, "404.001.03"), (400, "400.003.01"))

# 500.001.1001 means many things, "it is being processed" among them; these words in its message, that the push was
# refused. Beside them the code that says so alone, if there is one, and whether the same push would be refused again.
_REFUSALS: tuple[tuple[str, str | None, bool], ...] = (
    ("unable to lock subscriber", SUBSCRIBER_LOCKED, False),
    ("wrong credentials", None, True),
    ("merchant does not exist", None, True),
    ("no iccid found", PUSH_ERROR, True),
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """`{"requestId", "errorCode", "errorMessage"}`; both "" where the body is nothing of that kind."""

    code: str
    message: str

    def described(self, status: int) -> str:
        return " ".join(filter(None, (f"HTTP {status}", self.code, self.message)))


def error_body(body: bytes) -> ErrorBody:
    try:
        fields = daraja_json.read_object(body)
    except BadMessage:
        return ErrorBody("", "")
    return ErrorBody(
        daraja_json.description(fields.get("errorCode"), 32), daraja_json.description(fields.get("errorMessage"), 200)
    )


def is_token_refused(status: int, body: bytes) -> bool:
    """Whether the token was refused: with it the request, before anything was done."""
    return status == 401 or (status, error_body(body).code) in _TOKEN_REFUSED


def parse_stk_push(status: int, body: bytes) -> PushOutcome:
    """What Daraja made of a push. Whatever is not clearly a yes or a no is Unanswered."""
    if status == 200:
        try:
            return _pushed(daraja_json.read_object(body))
        except BadMessage as bad:
            return Unanswered(f"Daraja answered a push with HTTP 200, but {bad.reason}")
    error = error_body(body)
    if error.code in _BUSY or status == 429 or is_token_refused(status, body):
        return Rejected(error.code or str(status), error.described(status), permanent=False)
    if refusal := _refusal(error.code or str(status), error.message):
        return refusal
    if 400 <= status < 500 and status != 408:
        return Rejected(error.code or str(status), error.described(status), permanent=True)
    return Unanswered(f"Daraja answered a push with {error.described(status)}")


def _pushed(fields: JsonObject) -> PushOutcome:
    response_code = daraja_json.code(fields, "ResponseCode")
    if response_code == "0":
        return Accepted(
            daraja_json.identifier(fields, "MerchantRequestID"), daraja_json.identifier(fields, "CheckoutRequestID")
        )
    said = daraja_json.description(fields.get("ResponseDescription"), 200)
    return _refusal(response_code, said) or Rejected(response_code, f"ResponseCode {response_code} {said}", True)


def _refusal(code: str, message: str) -> Rejected | None:
    for words, exact_code, permanent in _REFUSALS:
        if words in message.lower():
            return Rejected(exact_code or code, f"{code} {message}", permanent)
    return None


def parse_stk_query(status: int, body: bytes, checkout_request_id: str) -> QueryOutcome:
    """What a query tells about the push that was asked for. Anything that is not clear is Unknown."""
    error = error_body(body)
    if error.code and "being processed" in error.message.lower():
        return Pending()  # as HTTP 500 and 500.001.1001, which also means wrong credentials
    if status != 200:
        return Unknown(f"Daraja answered a query with {error.described(status)}")
    try:
        return _queried(daraja_json.read_object(body), checkout_request_id)
    except BadMessage as bad:
        return Unknown(f"Daraja answered a query with HTTP 200, but {bad.reason}")


def _queried(fields: JsonObject, checkout_request_id: str) -> QueryOutcome:
    if daraja_json.code(fields, "ResponseCode") != "0":
        return Unknown("Daraja did not accept the query")
    if fields.get("CheckoutRequestID") != checkout_request_id:
        return Unknown("Daraja answered a query for another push than was asked for")
    return outcome_of(daraja_json.code(fields, "ResultCode"))


def parse_register_url(status: int, body: bytes) -> Rejected | None:
    """Why the URLs of C2B payments are not registered; None if they are."""
    error = error_body(body)
    if status != 200:
        return Rejected(error.code or str(status), error.described(status), permanent=400 <= status < 500)
    try:
        fields = daraja_json.read_object(body)
        response_code = daraja_json.code(fields, "ResponseCode")
    except BadMessage as bad:
        return Rejected("200", f"HTTP 200, but {bad.reason}", permanent=False)
    if response_code.strip("0") == "":  # "0", and "00000000" in some versions
        return None
    return Rejected(response_code, daraja_json.description(fields.get("ResponseDescription"), 200), permanent=True)
