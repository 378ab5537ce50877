"""Voucher codes: what is printed on a slip, and what a customer makes of it on a phone."""

import secrets

# 30 characters, none of which passes for another: no I L O 0 1, and no U, which is read as V.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
LEAST_LENGTH, MOST_LENGTH = 8, 20
DEFAULT_LENGTH = 10
"""49 bits: where a million codes are unused and ten guesses a second are let through, one is hit in 1,800 years."""

_GROUP = 4
# What is typed for a character that no code has.
_MEANT = str.maketrans({"U": "V"})
_SEPARATORS = " -._\u00a0\u2010\u2011\u2012\u2013\u2014"


def new_code(length: int = DEFAULT_LENGTH) -> str:
    """Unguessable, in the normal form."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_codes(count: int, length: int = DEFAULT_LENGTH) -> list[str]:
    """That many, no two alike."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes[new_code(length)] = None
    return list(codes)


def normal_code(typed: str) -> str | None:
    """The code in its normal form, whatever its case and grouping; None for what can not be one."""
    if len(typed) > 60:
        return None
    bare = typed.translate(str.maketrans("", "", _SEPARATORS)).upper().translate(_MEANT)
    is_code = LEAST_LENGTH <= len(bare) <= MOST_LENGTH and set(bare) <= set(ALPHABET)
    return bare if is_code else None


def printed(code: str) -> str:
    """In groups of four, as on the slip: `7KQ2-XM4P-9D`."""
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))
