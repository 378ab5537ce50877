"""Why somebody is online or is not. Octets as the subscriber sees them: input is the upload."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import Field, PlainValidator, StringConstraints, WithJsonSchema

from api.schemas.base import Output, Query
from api.schemas.fields import Line, Moment, StoredMac
from db.why import MAX_ENTRIES, Answer
from db.why_entry import Entry
from db.why_standing import Standing
from db.why_verdict import customers_sentence
from isp.entitlement import Accept

_AGO = re.compile(r"([1-9][0-9]{0,3})([mhd])", re.ASCII)
_SINCE = "It must be a time ago such as 30m, 24h or 7d, or a time such as 2026-11-20 or 2026-11-20T08:00."
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _since(value: Any) -> timedelta | datetime:
    text = value.strip() if isinstance(value, str) else ""
    if ago := _AGO.fullmatch(text):
        return timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(_SINCE) from None
    if moment.year < 2000:  # and the first years of the calendar have no other time zone's
        raise ValueError(_SINCE)
    return moment


Since = Annotated[timedelta | datetime, PlainValidator(_since), WithJsonSchema({"type": "string"})]
Who = Annotated[str, StringConstraints(min_length=1, max_length=253), Line]


class WhyQuery(Query):
    """`who`: a username, a phone number or a MAC address, in any usual form. `since` without a zone: the tenant's."""

    who: Who
    since: Since = Field("24h", validate_default=True)
    limit: int = Field(200, ge=1, le=MAX_ENTRIES)


class WhyLimit(Output):
    """`name` as the plan has it: time_limit_s, data_limit_bytes, upload_limit_bytes, download_limit_bytes."""

    name: str
    limit: int
    left: int


class WhyLogin(Output):
    """What a login would come to now with the right password, of the device and at the router that were seen last."""

    result: str
    reason: str
    message: str | None
    rate_limit: str | None
    session_timeout_s: int | None


class WhySubscription(Output):
    """A subscription as it stands. Limits are those of the running `limit_period`; use is that of the validity."""

    id: int
    subscriber_id: int
    username: str
    service: str
    plan_id: int
    plan: str
    state: str
    activated_at: Moment | None
    expires_at: Moment | None
    macs: list[str]
    bound_mac: StoredMac | None
    router_ids: list[int]
    devices: int
    open_sessions: int
    limit_period: str
    limits: list[WhyLimit]
    input_octets: int
    output_octets: int
    session_time_s: int
    login_now: WhyLogin

    @classmethod
    def at(cls, standing: Standing, answer: Answer) -> Self:
        subscription, plan, account = standing.subscription, standing.plan, standing.account
        verdict, used = standing.verdict, account.used_in_validity
        is_accept = isinstance(verdict, Accept)
        left = {
            "time_limit_s": standing.left.time_s,
            "data_limit_bytes": standing.left.total_octets,
            "upload_limit_bytes": standing.left.input_octets,
            "download_limit_bytes": standing.left.output_octets,
        }
        return cls.model_construct(
            id=subscription.id,
            subscriber_id=subscription.subscriber_id,
            username=subscription.username,
            service=subscription.service,
            plan_id=plan.id,
            plan=plan.name,
            state=standing.state.value,
            activated_at=subscription.activated_at,
            expires_at=subscription.expires_at,
            macs=standing.macs,
            bound_mac=subscription.bound_mac,
            router_ids=list(account.router_ids),
            devices=plan.devices,
            open_sessions=sum(not session.is_ghost(answer.now) for session in account.open_sessions),
            limit_period=plan.limit_period,
            limits=[
                WhyLimit(name=name, limit=getattr(plan, name), left=value)
                for name, value in left.items()
                if value is not None
            ],
            input_octets=used.input_octets,
            output_octets=used.output_octets,
            session_time_s=used.session_time_s,
            login_now=WhyLogin(
                result="accept" if is_accept else "reject",
                reason=verdict.reason.value,
                message=customers_sentence(verdict.reason.value, answer.language),
                rate_limit=verdict.rate_limit if isinstance(verdict, Accept) else None,
                session_timeout_s=verdict.session_timeout_s if isinstance(verdict, Accept) else None,
            ),
        )


class WhyEntry(Output):
    """One line of the story. `source` is login, session, follow, event or job; `values` are those it rests on.

    `what`: of a login accepted or rejected; of a session started, ended, open or silent (both at the time of its newest
    packet); of what was done to a session at its router (`follow`) adjust or disconnect; of an event its type; of a job
    its task. `reason`: the decision's code, the cause of the end, the job's state. `message` is what the customer was
    told.
    """

    at: Moment
    source: str
    what: str
    reason: str | None
    message: str | None
    subscription_id: int | None
    username: str | None
    router_id: int | None
    router: str | None
    calling_station_id: str | None
    values: dict[str, Any]

    @classmethod
    def among(cls, entry: Entry, answer: Answer) -> Self:
        values = dict(entry.values)
        if isinstance(plan_id := values.get("plan_id"), int) and plan_id in answer.plan_names:
            values["plan"] = answer.plan_names[plan_id]
        return cls.model_construct(
            at=entry.at,
            source=entry.source,
            what=entry.what,
            reason=entry.reason,
            message=customers_sentence(entry.reason, answer.language) if entry.source == "login" else None,
            subscription_id=entry.subscription_id,
            username=entry.username,
            router_id=entry.router_id,
            router=answer.router_names.get(entry.router_id or 0),
            calling_station_id=entry.calling_station_id,
            values=values,
        )


class WhyOut(Output):
    """`verdict` first. `timeline` is newest last; `more` says that older entries were left out."""

    verdict: str
    online: bool
    who: str
    msisdn: str | None
    mac: str | None
    since: Moment
    until: Moment
    timezone: str
    subscriptions: list[WhySubscription]
    timeline: list[WhyEntry]
    more: bool

    @classmethod
    def of_answer(cls, answer: Answer) -> Self:
        return cls.model_construct(
            verdict=answer.verdict,
            online=answer.online,
            who=answer.subject.who,
            msisdn=answer.subject.msisdn,
            mac=answer.subject.mac,
            since=answer.since,
            until=answer.now,
            timezone=answer.timezone.key,
            subscriptions=[WhySubscription.at(standing, answer) for standing in answer.standings],
            timeline=[WhyEntry.among(entry, answer) for entry in answer.entries],
            more=answer.more,
        )
