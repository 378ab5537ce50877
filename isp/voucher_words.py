"""What is printed on vouchers beside their codes, in English and Swahili."""

from datetime import datetime
from decimal import Decimal

_UNITS = {
    "en": {"hours": ("hour", "hours"), "days": ("day", "days"), "months": ("month", "months")},
    "sw": {"hours": ("saa", "saa"), "days": ("siku", "siku"), "months": ("mwezi", "miezi")},
}
_UNLIMITED = {"en": "no time limit", "sw": "bila kikomo cha muda"}
_USE_BEFORE = {"en": "Use before {when}", "sw": "Tumia kabla ya {when}"}
_SCAN = {
    "en": "Join the Wi-Fi and scan the picture, or type the code on the page that opens.",
    "sw": "Unganisha Wi-Fi kisha changanua picha, au andika namba hii kwenye ukurasa unaofunguka.",
}
_TYPE = {
    "en": "Join the Wi-Fi and type the code on the page that opens.",
    "sw": "Unganisha Wi-Fi kisha andika namba hii kwenye ukurasa unaofunguka.",
}


def validity(unit: str, count: int | None, language: str) -> str:
    """`30 days`, `1 hour`; in Swahili the number stands behind: `siku 30`."""
    if unit not in _UNITS[language] or not count:
        return _UNLIMITED[language]
    word = _UNITS[language][unit][count != 1]
    return f"{word} {count}" if language == "sw" else f"{count} {word}"


def price(kes: Decimal) -> str:
    """`KES 50`, `KES 49.50`."""
    return f"KES {kes:,.0f}" if kes == int(kes) else f"KES {kes:,.2f}"


def use_before(when: datetime, language: str) -> str:
    """`when` in the tenant's zone."""
    return _USE_BEFORE[language].format(when=f"{when:%Y-%m-%d %H:%M}")


def how_to(language: str, *, with_link: bool) -> str:
    return (_SCAN if with_link else _TYPE)[language]
