"""What is to be done with a login, so far as it does not depend on the password."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from isp.entitlement import Accept, Account, Attempt, OpenSession, decide
from isp.reasons import Reason, sentence
from isp.reply import attributes
from isp.session_identity import new_class
from radius_module.request import AccessRequest


@dataclass(slots=True)
class Decision:
    """What follows if the password is right, and what came of it once that is settled.

    Not frozen, since one is made for each login and that takes three times as long.
    """

    request: AccessRequest
    reason: Reason
    language: str
    """Of the customer's sentences."""
    subscription_id: int | None
    detail: dict[str, Any]
    """The values it rests on, for the log."""
    reply: tuple[tuple[str, str], ...] = ()
    password: str | None = None
    """What the password must be; None where none is asked (a known device), nothing would help, or it was right."""
    is_accept: bool = False
    room_left: int | None = None
    """How many more devices may log in beside this one; None if that is no matter."""
    counted: Sequence[OpenSession] = ()
    """The sessions that were counted."""
    is_settled: bool = False
    """The password was right, its place is taken and the log has it: nothing is left but to answer."""
    refused_as: Reason | None = None
    """Why it is refused for another reason than the entitlement's."""

    @property
    def refusal(self) -> Reason | None:
        """Why it is refused, whatever FreeRADIUS's modules would say of the password; None if it is not."""
        if self.refused_as is not None:
            return self.refused_as
        return self.reason if self.password is None and not self.is_accept else None

    def sentence(self, reason: Reason) -> str:
        """What a customer who is refused for that reason is told."""
        return sentence(reason, self.language)


def decision_on(
    request: AccessRequest,
    account: Account,
    password: str | None,
    language: str,
    detail: dict[str, Any],
    now: datetime,
) -> Decision:
    verdict = decide(account, Attempt(request.service, request.calling_station_id, request.router_id), now)
    detail["open_sessions"] = len(account.open_sessions)
    if account.expires_at:
        detail["expires_at"] = account.expires_at.isoformat(timespec="seconds")
    if not isinstance(verdict, Accept):
        return Decision(request, verdict.reason, language, account.subscription_id, detail, (), password)
    detail["rate_limit"] = verdict.rate_limit
    if verdict.session_timeout_s is not None:
        detail["session_timeout_s"] = verdict.session_timeout_s
    # By this the session finds the login that it began with.
    detail["class"] = radius_class = new_class(account.subscription_id)
    reply = (*attributes(verdict, account.service), ("Class", "0x" + radius_class.encode().hex()))
    return Decision(
        request,
        verdict.reason,
        language,
        account.subscription_id,
        detail,
        reply,
        password,
        True,
        verdict.room_left,
        account.open_sessions,
    )
