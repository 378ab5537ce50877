"""What is refused: one shape for all errors."""

from api.schemas.base import Output


class Error(Output):
    """`code` is for programs, `message` for people; `field` names the input at fault, if one is."""

    code: str
    message: str
    field: str = ""


class ErrorOut(Output):
    """Why it was not done."""

    error: Error
