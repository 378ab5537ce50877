"""RouterOS's own words for a refusal → an error with the remedy."""

import re
from collections.abc import Sequence

from tasks.routeros_errors import (
    AlreadyThere,
    BlockedByDeviceMode,
    Busy,
    MissingMenu,
    NoSuchItem,
    NotPermitted,
    Refused,
    UnknownProperty,
    WrongPassword,
)

# The first that matches counts. Of two traps to one sentence the words are joined by a comma.
_RULES: tuple[tuple[str, type[Refused], str], ...] = (
    (
        r"not allowed by device-mode",
        BlockedByDeviceMode,
        "Allow it on the router with /system device-mode update, then press its button or cut its power as it says.",
    ),
    (
        r"not enough permissions",
        NotPermitted,
        "Give our user's group its policies again: paste the bootstrap script once more.",
    ),
    (
        r"no such command",
        MissingMenu,
        "Enable or install the package it belongs to, or upgrade RouterOS.",
    ),
    (
        r"unknown parameter|bad parameter|expected end of command",
        UnknownProperty,
        "This RouterOS version does not know it: upgrade RouterOS, or report the version to us.",
    ),
    (r"no such item", NoSuchItem, "It was changed on the router meanwhile: try again."),
    (r"already|such name exists", AlreadyThere, "Remove or rename what is there, or take it over."),
    (r"timed? ?out|interrupted|\bbusy\b|try again", Busy, "Try again in a minute."),
)
_OTHERWISE = "Correct the value, or what the router has in its place."

_LOGIN_REFUSED = re.compile(r"invalid user name or password|cannot log in", re.IGNORECASE)

# Under these names secrets are sent.
_SECRET_NAMES = re.compile(
    r"[=?][^=]*(?:password|secret|private-key|preshared-key|passphrase|response|source|contents)[^=]*="
)
_SHORTEST_SECRET = 4


def refusal(host: str, sentence: Sequence[str], traps: Sequence[str]) -> Refused:
    """For an answer with one or more traps."""
    command = sentence[0]
    said = without_secrets(", ".join(traps), sentence)
    for pattern, error, remedy in _RULES:
        if re.search(pattern, said, re.IGNORECASE):
            return error(f"{host} refuses {command}: {said}. {remedy}", command=command, trap=said)
    return Refused(f"{host} refuses {command}: {said}. {_OTHERWISE}", command=command, trap=said)


def login_refusal(host: str, username: str, refused: Refused) -> Refused | WrongPassword:
    if _LOGIN_REFUSED.search(refused.trap):
        return WrongPassword(
            f"{host} refuses the password of its user {username}. Paste the bootstrap script again; if it stays so, "
            f"check that /user has {username} enabled, in a group with the policy api, and that its address lets us in."
        )
    return refused


def without_secrets(text: str, sentence: Sequence[str]) -> str:
    """In one line, and without what was sent as a secret, should the router repeat it."""
    text = " ".join(text.split())
    for word in sentence[1:]:
        if (named := _SECRET_NAMES.match(word)) and len(secret := word[named.end() :]) >= _SHORTEST_SECRET:
            text = text.replace(secret, "…").replace(" ".join(secret.split()), "…")
    return text
