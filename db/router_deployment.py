"""Deployments: what was done to a router, sentence by sentence, with what undoes it.

A router has at most one that is under way. A step is `planned`, then `sending` from before its sentence leaves, then
`applied`; whoever finds one that is `sending` does not know whether the router did it, and looks. An undo is a
deployment of its own, which goes back over the steps of another: those become `undone`, or `kept` where somebody else
has changed the same thing since.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Json, Sealed, String, TenantId, Timestamp
from db.radius_session import RadiusSession
from db.refusal import Conflict, NotFound
from isp.encryption import Keyring
from isp.router_diff import Action, Change

Family = Literal["service", "accounts"]
"""What it is about: the service that a router gives, or the accounts that it has itself."""

OPEN = ("pending", "running", "retrying")
STATES = (*OPEN, "completed", "failed", "undone")
KINDS: Mapping[str, Family] = {
    "deploy": "service",
    "reprovision": "service",
    "undo": "service",
    "disable-accounts": "accounts",
    "enable-accounts": "accounts",
}
UNDOES = ("undo", "enable-accounts")


class RouterDeployment(Base):
    __tablename__ = "router_deployment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "service_config_id"], ["router_service_config.tenant_id", "router_service_config.id"]
        ),
        ForeignKeyConstraint(["tenant_id", "undoes_id"], ["router_deployment.tenant_id", "router_deployment.id"]),
        Index("router_deployment_open_key", "router_id", unique=True, postgresql_where=f"state IN {OPEN}"),
        Index("router_deployment_router_id_id_idx", "router_id", "id"),
        CheckConstraint(f"kind IN {tuple(KINDS)}", name="kind"),
        CheckConstraint(f"state IN {STATES}", name="state"),
        CheckConstraint("percent BETWEEN 0 AND 100", name="percent"),
        CheckConstraint(
            "(kind IN ('deploy', 'reprovision')) = (service_config_id IS NOT NULL)", name="service_config_id"
        ),
        CheckConstraint(f"(kind IN {UNDOES}) = (undoes_id IS NOT NULL)", name="undoes_id"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    kind: Mapped[String]
    service_config_id: Mapped[BigInt | None]
    undoes_id: Mapped[BigInt | None]
    job_id: Mapped[BigInt | None]
    state: Mapped[String] = mapped_column(server_default="pending")
    stage: Mapped[String | None]
    """verifying, connected, deploying, deployed, verifying deployment, completed."""
    percent: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    error: Mapped[String | None]
    """Why it failed, or why the last try did, and what to do."""
    radius: Mapped[String | None]
    """`proved`: the router asked us and took our answer. `waiting`: no customer has come yet, so nobody knows; the
    first one who does proves it."""
    notes: Mapped[list[str]] = mapped_column(JSONB, server_default="[]")
    """What is left to be done by hand."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[Timestamp | None]
    finished_at: Mapped[Timestamp | None]

    @property
    def family(self) -> Family:
        return KINDS[self.kind]


class RouterDeploymentStep(Base):
    __tablename__ = "router_deployment_step"
    __table_args__ = (
        UniqueConstraint("deployment_id", "number"),
        ForeignKeyConstraint(
            ["tenant_id", "deployment_id"],
            ["router_deployment.tenant_id", "router_deployment.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("action IN ('add', 'set', 'remove')", name="action"),
        CheckConstraint("state IN ('planned', 'sending', 'applied', 'undone', 'kept')", name="state"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    deployment_id: Mapped[BigInt]
    number: Mapped[int] = mapped_column(Integer)
    menu: Mapped[String]
    action: Mapped[String]
    found_by: Mapped[Json]
    item_id: Mapped[String | None]
    first: Mapped[bool] = mapped_column(Boolean, server_default="false")
    before: Mapped[Json]
    """What the sentence changes, as it was, and below as it becomes; secrets left out."""
    after: Mapped[Json]
    values_sealed: Mapped[Sealed]
    """`[before, after]` whole, sealed for `router_deployment_step.values:<deployment_id>:<number>`."""
    state: Mapped[String] = mapped_column(server_default="planned")
    changed_at: Mapped[CreatedAt]


def by_id(session: Session, router_id: int, deployment_id: int) -> RouterDeployment:
    """Raises NotFound."""
    found = session.get(RouterDeployment, deployment_id)
    if found is None or found.router_id != router_id:
        raise NotFound("deployment")
    return found


def newest(session: Session, router_id: int, *, limit: int = 50) -> Sequence[RouterDeployment]:
    """The newest first."""
    of_router = select(RouterDeployment).where(RouterDeployment.router_id == router_id)
    return session.scalars(of_router.order_by(RouterDeployment.id.desc()).limit(limit)).all()


def begin(
    session: Session,
    tenant_id: int,
    router_id: int,
    kind: str,
    *,
    service_config_id: int | None = None,
    undoes_id: int | None = None,
) -> RouterDeployment:
    """A pending one; the failed one of the same kind, to be taken up again, if nothing came after it.

    Raises Conflict while another is under way.
    """
    if under_way(session, router_id) is not None:
        raise Conflict("Another deployment to this router is under way. Wait for its end.", code="under_way")
    last = _last(session, router_id, KINDS[kind])
    if last is not None and last.state == "failed" and (last.kind in UNDOES) == (kind in UNDOES):
        last.kind, last.state, last.error, last.finished_at = kind, "pending", None, None
        last.service_config_id = service_config_id
        last.stage, last.percent = None, 0
        session.flush()
        return last
    made = RouterDeployment(
        tenant_id=tenant_id,
        router_id=router_id,
        kind=kind,
        service_config_id=service_config_id,
        undoes_id=undoes_id,
    )
    session.add(made)
    session.flush()
    return made


def under_way(session: Session, router_id: int) -> RouterDeployment | None:
    of_router = select(RouterDeployment).where(RouterDeployment.router_id == router_id)
    return session.scalar(of_router.where(RouterDeployment.state.in_(OPEN)))


def to_undo(session: Session, router_id: int, family: Family) -> RouterDeployment:
    """The newest that changed something and stands. Raises Conflict if there is none."""
    kinds = [kind for kind, its in KINDS.items() if its == family and kind not in UNDOES]
    did = select(RouterDeploymentStep.id).where(
        RouterDeploymentStep.deployment_id == RouterDeployment.id,
        RouterDeploymentStep.state.in_(("sending", "applied")),
    )
    found = session.scalar(
        select(RouterDeployment)
        .where(RouterDeployment.router_id == router_id, RouterDeployment.kind.in_(kinds))
        .where(RouterDeployment.state.in_(("completed", "failed")), did.exists())
        .order_by(RouterDeployment.id.desc())
        .limit(1)
    )
    if found is None:
        raise Conflict("There is nothing that could be undone.", code="nothing_to_undo")
    return found


def end_as_undone(session: Session, undone: RouterDeployment, now: datetime) -> None:
    """Those after it found nothing to change: with it they are undone too."""
    kinds = [kind for kind, its in KINDS.items() if its == undone.family and kind not in UNDOES]
    session.execute(
        update(RouterDeployment)
        .where(RouterDeployment.router_id == undone.router_id, RouterDeployment.id >= undone.id)
        .where(RouterDeployment.kind.in_(kinds), RouterDeployment.state.in_(("completed", "failed")))
        .values(state="undone", finished_at=now)
    )


def standing(session: Session, router_id: int) -> RouterDeployment | None:
    """The newest deployment of its service that was completed and not undone."""
    return session.scalar(
        select(RouterDeployment)
        .where(RouterDeployment.router_id == router_id, RouterDeployment.kind.in_(("deploy", "reprovision")))
        .where(RouterDeployment.state == "completed")
        .order_by(RouterDeployment.id.desc())
        .limit(1)
    )


def why_failed(session: Session, router_id: int) -> str | None:
    """Of the newest deployment, if it failed."""
    last = newest(session, router_id, limit=1)
    return last[0].error if last and last[0].state == "failed" else None


def prove_waiting(session: Session) -> Sequence[RouterDeployment]:
    """Those that were `waiting` and are proved now: since their end a customer's session began on the router.

    For that the router took our Access-Accept, and we its accounting, which is signed with the secret of both.
    """
    came = select(RadiusSession.session_key).where(
        RadiusSession.tenant_id == RouterDeployment.tenant_id,
        RadiusSession.router_id == RouterDeployment.router_id,
        RadiusSession.subscription_id.is_not(None),
        RadiusSession.started_at > RouterDeployment.finished_at,
    )
    return session.scalars(
        update(RouterDeployment)
        .where(RouterDeployment.state == "completed", RouterDeployment.radius == "waiting", came.exists())
        .values(radius="proved")
        .returning(RouterDeployment)
    ).all()


def steps(session: Session, deployment_id: int, *states: str) -> Sequence[RouterDeploymentStep]:
    """In their order; all, or those in `states`."""
    statement = select(RouterDeploymentStep).where(RouterDeploymentStep.deployment_id == deployment_id)
    if states:
        statement = statement.where(RouterDeploymentStep.state.in_(states))
    return session.scalars(statement.order_by(RouterDeploymentStep.number)).all()


def plan(
    session: Session, deployment: RouterDeployment, changes: Iterable[Change], keyring: Keyring
) -> Sequence[RouterDeploymentStep]:
    """The changes as planned steps, in the place of those that an earlier try did not come to."""
    mine = RouterDeploymentStep.deployment_id == deployment.id
    session.execute(delete(RouterDeploymentStep).where(mine, RouterDeploymentStep.state == "planned"))
    last = session.scalar(select(func.max(RouterDeploymentStep.number)).where(mine)) or 0
    made = [
        RouterDeploymentStep(
            tenant_id=deployment.tenant_id,
            deployment_id=deployment.id,
            number=number,
            menu=change.menu,
            action=change.action,
            found_by=dict(change.found_by),
            item_id=change.item_id,
            first=change.first,
            before=change.shown(change.before),
            after=change.shown(change.after),
            values_sealed=keyring.seal(
                json.dumps([dict(change.before), dict(change.after)]), _belongs_to(deployment.id, number)
            ),
        )
        for number, change in enumerate(changes, start=last + 1)
    ]
    session.add_all(made)
    session.flush()
    return made


def change_of(step: RouterDeploymentStep, keyring: Keyring) -> Change:
    """The change whole, as it was planned. Raises EncryptionError."""
    before, after = json.loads(keyring.open(step.values_sealed, _belongs_to(step.deployment_id, step.number)))
    return Change(
        menu=step.menu,
        action=cast(Action, step.action),
        found_by=step.found_by,
        before=before,
        after=after,
        item_id=step.item_id,
        first=step.first,
    )


def mark(step: RouterDeploymentStep, state: str, now: datetime) -> None:
    step.state, step.changed_at = state, now


def summary(session: Session, deployment_id: int) -> dict[str, list[str]]:
    """Names of what was applied, of what may have been, and of what was not."""
    told: dict[str, list[str]] = {"applied": [], "unknown": [], "not_applied": []}
    where = {"applied": "applied", "sending": "unknown", "planned": "not_applied"}
    for step in steps(session, deployment_id, *where):
        told[where[step.state]].append(f"{step.action} {' '.join((step.menu, *step.found_by.values()))}")
    return told


def _last(session: Session, router_id: int, family: Family) -> RouterDeployment | None:
    kinds = [kind for kind, its in KINDS.items() if its == family]
    of_family = select(RouterDeployment).where(
        RouterDeployment.router_id == router_id, RouterDeployment.kind.in_(kinds)
    )
    return session.scalar(of_family.order_by(RouterDeployment.id.desc()).limit(1))


def _belongs_to(deployment_id: int, number: int) -> str:
    return f"router_deployment_step.values:{deployment_id}:{number}"
