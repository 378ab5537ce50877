"""What M-Pesa is told."""

from api.schemas.base import Output


class Acknowledgement(Output):
    """As M-Pesa's APIs have it: 0 where all is well, as a number or as text."""

    ResultCode: int | str
    ResultDesc: str
