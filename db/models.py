"""All models, so that `Base.metadata` is whole: for migrations, and for the test that compares it with the database."""

from db import admin, auth_log, event, job, plan, radius_session, router, subscriber, subscription, tenant
from db.base import Base

__all__ = [
    "Base",
    "admin",
    "auth_log",
    "event",
    "job",
    "plan",
    "radius_session",
    "router",
    "subscriber",
    "subscription",
    "tenant",
]
