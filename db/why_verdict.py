"""The first line of an answer to `why`: whether somebody is online and, if not, what stood in the way."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from db.why_entry import Entry
from db.why_standing import Standing
from db.why_subject import Subject
from isp.entitlement import Reject
from isp.reasons import Reason, sentence


@dataclass(frozen=True, slots=True)
class Findings:
    """What the verdict rests on, whatever the window of the timeline."""

    subject: Subject
    open_sessions: Sequence[Entry]
    """Newest first, the silent ones among them."""
    last_login: Entry | None
    last_session: Entry | None
    """How the newest session ended, or is."""
    standings: Sequence[Standing]
    router_names: Mapping[int, str]
    language: str
    timezone: ZoneInfo
    now: datetime

    @property
    def online(self) -> list[Entry]:
        return [entry for entry in self.open_sessions if entry.what == "open"]


# Of who is online.
_GOES_WITHOUT_SAYING = {Reason.OK.value, Reason.TOO_MANY_DEVICES.value}
_IF = {Reason.WRONG_PASSWORD.value: ", with the right password", Reason.UNKNOWN_USER.value: ", with the right name"}


def verdict(findings: Findings) -> str:
    """One or two sentences for the operator."""
    who, login, session = findings.subject.who, findings.last_login, findings.last_session
    if online := findings.online:
        return f"{who} is online {_since(findings, online)}.{_login_now(findings, _GOES_WITHOUT_SAYING)}"
    if not (findings.standings or login or session):
        return _unknown(findings.subject)
    if session is not None and (login is None or session.at >= login.at):
        story, told = _of_session(findings, session), ""
    elif login is not None:
        story, told = _of_login(findings, login), login.reason or ""
    else:
        story, told = "no login of it is on record", ""
    end = "" if story.endswith(")") else "."
    return f"{who} is offline: {story}{end}{_login_now(findings, {told}, _IF.get(told, ''))}"


def customers_sentence(reason: str | None, language: str) -> str | None:
    """What the customer was told; None for an accept."""
    if reason is None:
        return None
    try:
        return sentence(Reason(reason), language)
    except (KeyError, ValueError):
        return None


def _unknown(subject: Subject) -> str:
    if subject.subscribers:
        return f"{subject.who} is {' and '.join(subject.subscribers)}, who has no subscription."
    return f"{subject.who} is unknown: no subscription, no login and no session is on record."


def _since(findings: Findings, online: Sequence[Entry]) -> str:
    began = min(datetime.fromisoformat(entry.values["started_at"]) for entry in online)
    newest = online[0]
    address = newest.values.get("framed_ip_address")
    if len(online) > 1:
        return f"in {len(online)} sessions, since {_clock(findings, began)}"
    return f"since {_clock(findings, began)}{_at_router(findings, newest)}{f' as {address}' if address else ''}"


def _of_session(findings: Findings, entry: Entry) -> str:
    when = _clock(findings, entry.at)
    if entry.what == "silent":
        return f"its session{_at_router(findings, entry)} is silent since {when}"
    closed = "" if entry.values["stop_received"] else ", which the router did not report"
    return f"last session ended {when}: {entry.reason or 'no cause given'}{closed}"


def _of_login(findings: Findings, entry: Entry) -> str:
    names = {name.lower() for name in findings.subject.names if not findings.subject.mac}
    as_name = "" if (entry.username or "").lower() in names else f" as {entry.username}"
    story = f"last login {_clock(findings, entry.at)}{as_name} {entry.what}"
    if entry.what == "accepted":
        return f"{story}, but no session has begun since"
    return f"{story}: {entry.reason}{_quoted(entry.reason, findings.language)}"


def _login_now(findings: Findings, told: Set[str], if_: str = "") -> str:
    """What a login would come to, unless its reason is among those `told`; nothing for more than one subscription."""
    if len(findings.standings) != 1:
        return ""
    outcome = findings.standings[0].verdict
    reason = outcome.reason.value
    if reason in told:
        return ""
    if isinstance(outcome, Reject):
        return f" A login now would be rejected: {reason}{_quoted(reason, findings.language)}"
    remark = "" if reason == Reason.OK.value else f": {reason}"
    return f" A login now would be accepted{remark}{if_}."


def _quoted(reason: str | None, language: str) -> str:
    said = customers_sentence(reason, language)
    return f" ({said})" if said else ""


def _at_router(findings: Findings, entry: Entry) -> str:
    name = findings.router_names.get(entry.router_id or 0)
    return f" at {name}" if name else ""


def _clock(findings: Findings, at: datetime) -> str:
    """The tenant's time of day, with the date unless it is today."""
    local, today = at.astimezone(findings.timezone), findings.now.astimezone(findings.timezone).date()
    return f"{local:%H:%M}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"
