"""The seam to gateways of SMS. Whoever implements it is asked by the task `send_sms`; nobody else sends any."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sent:
    """The gateway took the message; whether a phone got it is another matter."""

    provider_message_id: str | None


class SmsError(Exception):
    """The message was not taken. `permanent`: trying again would not help. The text names neither phone nor secret."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class SmsProvider(Protocol):
    def send(self, msisdn: str, text: str) -> Sent:
        """`msisdn` as 254712345678. Raises SmsError. May send twice what is asked for twice."""
