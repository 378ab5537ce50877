"""The first run: an empty database gets a small operator to try everything with, and shows how to log in."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from db import admin, plan, router, subscriber, subscription_life, tenant
from db.engine import make_engine, session_factory
from db.router import Router
from db.subscription import Subscription
from db.tenant import Tenant
from isp import credentials
from isp.encryption import Keyring
from settings import Settings

TENANT = "demo"
SAMPLE_MAC = "BC:24:11:EB:56:4D"
"""Of the sample subscriber's device: there is room for one."""
ADMIN_EMAIL = "owner@demo.example"
USERNAME = "demo"
ROUTER = "this-machine"

PLAN = {
    "name": "Demo 8M",
    "service": "any",
    "price_kes": 1000,
    "upload_kbps": 2_000,
    "download_kbps": 8_000,
    "burst_upload_kbps": 4_000,
    "burst_download_kbps": 12_000,
    "burst_threshold_upload_kbps": 1_500,
    "burst_threshold_download_kbps": 6_000,
    "burst_time_s": 8,
    "validity_unit": "days",
    "validity_count": 30,
}


@dataclass(frozen=True, slots=True)
class SampleLogin:
    """How to log in as the sample subscriber, from a NAS at `nas_address`.

    The admin's password and the API token are known only to `seed`, which makes them; later they are None.
    """

    tenant: str
    username: str
    password: str = field(repr=False)
    nas_address: str
    radius_secret: str = field(repr=False)
    admin_email: str
    admin_password: str | None = field(default=None, repr=False)
    api_token: str | None = field(default=None, repr=False)


def seed(settings: Settings) -> SampleLogin | None:
    """Fills an empty database, all or nothing; None if there is a tenant already."""
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    engine = make_engine(settings, "owner", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            session.execute(text("LOCK TABLE tenant IN SHARE ROW EXCLUSIVE MODE"))
            if session.scalar(select(func.count()).select_from(Tenant)):
                return None
            return _fill(session, keyring, datetime.now(UTC))
    finally:
        engine.dispose()


def sample_login(settings: Settings) -> SampleLogin | None:
    """The sample's login as it is now; None if the sample tenant, its subscription or its router is gone."""
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    engine: Engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine)() as session:
            return _read(session, keyring)
    finally:
        engine.dispose()


def _fill(session: Session, keyring: Keyring, now: datetime) -> SampleLogin:
    demo = tenant.create(session, slug=TENANT, name="Demo ISP", language="en", timezone="Africa/Nairobi")
    admin_password = credentials.new_admin_password()
    owner = admin.create(session, tenant_id=demo.id, email=ADMIN_EMAIL, role="owner", password=admin_password)
    token = admin.create_token(session, owner, "first run", expires_at=None)
    this_machine = router.create(
        session,
        demo.id,
        {"name": ROUTER, "nas_address": "127.0.0.1"},
        radius_secret=credentials.new_radius_secret(),
        keyring=keyring,
    )
    person = subscriber.create(session, demo.id, {"name": "Demo Subscriber"})
    demo_8m = plan.create(session, demo.id, PLAN)
    created = subscription_life.create(
        session,
        demo.id,
        subscription_life.NewSubscription(person.id, demo_8m.id, service="hotspot", username=USERNAME),
        keyring,
        now,
    )
    return SampleLogin(
        tenant=TENANT,
        username=USERNAME,
        password=created.password,
        nas_address="127.0.0.1",
        radius_secret=router.radius_secret(this_machine, keyring),
        admin_email=ADMIN_EMAIL,
        admin_password=admin_password,
        api_token=token,
    )


def _read(session: Session, keyring: Keyring) -> SampleLogin | None:
    demo = tenant.by_slug(session, TENANT)
    if demo is None:
        return None
    subscription = session.scalar(
        select(Subscription).where(
            Subscription.tenant_id == demo.id,
            Subscription.username_lower == USERNAME,
            Subscription.status != "cancelled",
        )
    )
    this_machine = session.scalar(
        select(Router).where(Router.tenant_id == demo.id, Router.name == ROUTER, Router.removed_at.is_(None))
    )
    if subscription is None or this_machine is None:
        return None
    return SampleLogin(
        tenant=TENANT,
        username=subscription.username,
        password=subscription_life.password(subscription, keyring),
        nas_address=str(this_machine.nas_address),
        radius_secret=router.radius_secret(this_machine, keyring),
        admin_email=ADMIN_EMAIL,
    )
