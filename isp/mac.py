"""MAC addresses in every form RouterOS can send them (`radius-mac-format`), and none other."""

import re

# XX:XX:XX:XX:XX:XX  XX-XX-XX-XX-XX-XX  XX XX XX XX XX XX  XXXX:XXXX:XXXX  XXXXXX:XXXXXX  XXXXXX-XXXXXX  XXXXXXXXXXXX
_FORMS = re.compile(
    r"(?:[0-9A-F]{2}(?P<pairs>[:\- ])(?:[0-9A-F]{2}(?P=pairs)){4}[0-9A-F]{2}"
    r"|[0-9A-F]{4}(?P<fours>[:\-.])[0-9A-F]{4}(?P=fours)[0-9A-F]{4}"
    r"|[0-9A-F]{6}[:\-][0-9A-F]{6}"
    r"|[0-9A-F]{12})",
    re.ASCII | re.IGNORECASE,  # not upper(): of some letters that makes two, "ﬀ" becomes "FF"
)


_CANONICAL = re.compile(r"(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", re.ASCII)


def parse_mac(text: str | None) -> str | None:
    """The address as `AA:BB:CC:DD:EE:FF`, or None if `text` is not a MAC address."""
    if not text or len(text) > 17:
        return None
    if _CANONICAL.fullmatch(text):
        return text
    if not _FORMS.fullmatch(text):
        return None
    digits = re.sub(r"[^0-9A-F]", "", text.upper())
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
