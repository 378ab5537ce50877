"""Which events a role sees: those about what the role may look at."""

from collections.abc import Collection

_WRITERS = frozenset({"owner", "manager"})
_READERS = _WRITERS | {"support", "read-only"}
_CASHIERS = _READERS | {"cashier"}

# What stands before the first dot. What is not here is for those who run the business.
_ROLES = {
    "payment": _CASHIERS,
    "subscriber": _CASHIERS,
    "subscription": _CASHIERS,
    "job": _CASHIERS,
    "provisioning": _READERS,
    "router": _READERS,
    "session": _READERS,
    "dashboard": _READERS,
}

SUBJECTS = tuple(_ROLES)


def roles_of(event_type: str) -> frozenset[str]:
    """Who sees events of this type."""
    return _ROLES.get(event_type.partition(".")[0], _WRITERS)


def hidden_subjects(role: str) -> tuple[str, ...]:
    """Of SUBJECTS, those that the role does not see."""
    return tuple(subject for subject, roles in _ROLES.items() if role not in roles)


def sees_the_rest(role: str) -> bool:
    """Whether it sees types that are not about one of SUBJECTS."""
    return role in _WRITERS


def is_seen(event_type: str, role: str, wanted: Collection[str] | None) -> bool:
    """Whether the role sees it and wants it. `wanted`: types, or subjects as `payment.*`; None is all."""
    if role not in roles_of(event_type):
        return False
    return wanted is None or event_type in wanted or f"{event_type.partition('.')[0]}.*" in wanted
