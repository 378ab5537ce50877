"""Everything that can be wrong with a request, as a status and `{"error": {"code", "message", "field"?}}`."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from psycopg.errors import QueryCanceled
from sqlalchemy import exc
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from db.refusal import Conflict, Invalid, NotFound, Refusal, refusal_of

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 5
_STATUS = {NotFound: 404, Conflict: 409, Invalid: 422}
_CODES = {404: "not_found", 405: "method_not_allowed"}


class Problem(Exception):
    """An answer other than success. The message is for people, the code for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        error = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return JSONResponse({"error": error}, self.status, self.headers)


def problem_of(error: Exception) -> Problem:
    """What to answer when `error` was raised; what is not the caller's doing is logged."""
    match error:
        case Problem():
            return error
        case Refusal():
            return _refused(error)
        case exc.IntegrityError() if refusal := refusal_of(error):
            return _refused(refusal)
        case exc.DataError():
            log.warning("a value got past validation", error=type(error.orig).__name__)
            return Problem(422, "invalid", "A value is out of range.")
        case exc.OperationalError() if isinstance(error.orig, QueryCanceled):
            log.warning("the database took too long", error=str(error.orig).strip())
            message = "This took too long. Ask for less, or try again in a moment."
            return Problem(503, "timeout", message, headers={"Retry-After": str(RETRY_AFTER_S)})
        case exc.OperationalError() | exc.InterfaceError() | exc.TimeoutError():
            log.warning("no answer from PostgreSQL", error=str(getattr(error, "orig", error)).strip())
            return Problem(
                503,
                "unavailable",
                "The database does not answer. Try again in a moment.",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        case HTTPException():
            code = _CODES.get(error.status_code, HTTPStatus(error.status_code).name.lower())
            return Problem(error.status_code, code, f"{error.detail}.", headers=error.headers)
    log.error("the request failed", exc_info=error)
    return Problem(500, "internal_error", "Something went wrong here. The log has it under this request's id.")


def answer_http_exception(_request: Request, error: Exception) -> JSONResponse:
    """For what Starlette itself refuses: a path that no route has."""
    return problem_of(error).response()


def _refused(refusal: Refusal) -> Problem:
    return Problem(_STATUS[type(refusal)], refusal.code, refusal.message, field=refusal.field)
