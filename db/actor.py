"""Who is behind a transaction: the audit log writes it beside every change that the transaction makes."""

import json
from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True, slots=True)
class Actor:
    """`who` is an admin's email, or the account on this machine that a command runs under."""

    who: str
    via: Literal["api", "cli"]
    action: str
    """What was asked for, without its values: `PATCH /api/v1/plans/{id}`, `plan change`."""
    admin_id: int | None = None
    credential: str | None = None
    """What it was asked with: `token:7`, `session:9`."""
    address: str | None = None
    """Where it was asked from."""
    request_id: str | None = None

    def setting(self) -> str:
        """The value of the setting `kibali.actor`, which the triggers of the audit log read."""
        return json.dumps({name: getattr(self, name) for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Actor))
