"""Events and jobs of a subject, as entries of its timeline."""

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.event import Event
from db.job import Job
from db.why_entry import Entry, Window
from db.why_subject import Subject


def events(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """Of its subscriptions, and of the routers it was last seen at; newest first."""
    of_router = Event.router_id.in_(subject.router_ids) & Event.subscription_id.is_(None)
    about_it = or_(Event.subscription_id.in_(subject.subscription_ids), of_router)
    statement = select(Event).where(about_it, Event.created_at >= window.since)
    newest = statement.order_by(Event.created_at.desc(), Event.id.desc()).limit(window.limit)
    return [
        Entry(
            at=event.created_at,
            source="event",
            what=event.type,
            subscription_id=event.subscription_id,
            router_id=event.router_id,
            values=event.data,
        )
        for event in session.scalars(newest)
    ]


def jobs(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """Those with the argument `subscription_id`, newest first, each at the time it was caused."""
    subscription_id = Job.args["subscription_id"].astext
    about_it = subscription_id.in_([str(each) for each in subject.subscription_ids])
    statement = select(Job).where(Job.tenant_id.is_not(None), about_it, Job.created_at >= window.since)
    newest = statement.order_by(Job.created_at.desc(), Job.id.desc()).limit(window.limit)
    return [
        Entry(
            at=job.created_at,
            source="job",
            what=job.task,
            reason=job.state,
            subscription_id=job.args["subscription_id"],
            values={"job_id": job.id, **job.args, **({"error": job.error} if job.error else {})},
        )
        for job in session.scalars(newest)
    ]
