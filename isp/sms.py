"""What customers are told by SMS, in English and Swahili: short, for each 160 characters are paid for."""

from enum import StrEnum


class SmsKind(StrEnum):
    CREDENTIALS = "credentials"
    """A payment made a subscription: how to log in."""
    RENEWED = "renewed"
    FAILED = "failed"
    """Nothing was paid, and why."""
    TEST = "test"


_WORDS = {
    "en": {
        SmsKind.CREDENTIALS: "{tenant}: you are in. Username {username} Password {password}{until}",
        SmsKind.RENEWED: "{tenant}: thank you, {username} is renewed{until}",
        SmsKind.FAILED: "{tenant}: nothing was paid. {reason}",
        SmsKind.TEST: "{tenant}: this is a test by Kibali.",
    },
    "sw": {
        SmsKind.CREDENTIALS: "{tenant}: karibu. Jina {username} Nenosiri {password}{until}",
        SmsKind.RENEWED: "{tenant}: asante, {username} imeongezwa muda{until}",
        SmsKind.FAILED: "{tenant}: hakuna kilicholipwa. {reason}",
        SmsKind.TEST: "{tenant}: hili ni jaribio la Kibali.",
    },
}
_UNTIL = {"en": ". Until {when}.", "sw": ". Hadi {when}."}
_MOST_NAME = 30


def text(kind: SmsKind, language: str, *, tenant: str, until: str | None = None, **values: str) -> str:
    """The message. `until` is a local time; None: it never ends."""
    ending = _UNTIL[language].format(when=until) if until else "."
    return _WORDS[language][kind].format(tenant=tenant[:_MOST_NAME], until=ending, **values)
