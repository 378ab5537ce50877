"""Phone numbers as M-Pesa writes them: E.164 without the plus, 254712345678."""

import re

_SEPARATORS = re.compile(r"[ \-().\u00a0]")
# Mobile numbers of Kenya: 7XX XXX XXX and, since 2019, 1XX XXX XXX.
_KENYAN = re.compile(r"(?:\+?254|0)?([17][0-9]{8})")
_INTERNATIONAL = re.compile(r"\+([1-9][0-9]{6,14})")


def parse_msisdn(text: str | None) -> str | None:
    """The number as digits with its country code, or None if it can not be a mobile number.

    Kenyan numbers in every usual form; other countries' with a plus. A masked number (2547****678), a hashed one and a
    Kenyan landline are None.
    """
    if not text or len(text) > 40:
        return None
    bare = _SEPARATORS.sub("", text)
    if kenyan := _KENYAN.fullmatch(bare):
        return "254" + kenyan[1]
    foreign = _INTERNATIONAL.fullmatch(bare)
    if foreign is None or foreign[1].startswith("254"):
        return None
    return foreign[1]
