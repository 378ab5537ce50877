"""The life of a router as others see it.

pending → probing → online | connection_failed; online or active ⇄ offline; any → provisioning → active, online or
failed. While a deployment to it is under way (`provisioning`) nobody but that says how it is. Each change is an event
`router.status` in its transaction, with the reason in words; the first contact is `router.connected` beside it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db import event, router_deployment, router_tunnel
from db import router as routers
from db.refusal import Conflict
from db.router import Router
from db.router_state import RouterState
from isp.watch_plan import OFFLINE_AFTER_FAILURES, PROBE_EVERY_S, PROBE_TRIES

_PROBED = ("pending", "probing")


def set_status(session: Session, router: Router, status: str, reason: str | None, now: datetime) -> bool:
    """Whether that is news. The caller holds the row locked."""
    was = router.status
    if (was, router.status_reason) == (status, reason):
        return False
    router.status, router.status_reason = status, reason
    if was != status:
        router.status_changed_at = now
        data = {"router": router.name, "status": status, "was": was, "reason": reason}
        event.record(session, "router.status", data, router.tenant_id, router_id=router.id)
    session.flush()
    return True


def begin_probing(session: Session, router_id: int, now: datetime) -> Router:
    """It is tried each 10 s, up to 60 times, from now on. Raises NotFound, and Conflict while it is deployed to."""
    router = routers.in_service(session, router_id)
    if router.status == "provisioning":
        raise Conflict("A deployment to this router is under way.", code="provisioning")
    state = session.get_one(RouterState, router_id, with_for_update=True, populate_existing=True)
    if router.status not in _PROBED and router.status != "connection_failed":
        state.status_before = router.status if router.status != "offline" else state.status_before
    state.probe_due_at, state.probe_tries, state.failures = now, 0, 0
    if router.status != "pending":
        set_status(session, router, "probing", None, now)
    session.flush()
    return router


def probing(session: Session, router_id: int, now: datetime) -> None:
    """The first try of a new router is about to be made."""
    found = _locked(session, router_id)
    if found is not None and found[0].status == "pending":
        set_status(session, found[0], "probing", None, now)


def provisioning(session: Session, router_id: int, now: datetime) -> None:
    """A deployment to it begins, or tries again. Whoever probes it need not any more."""
    found = _locked(session, router_id)
    if found is None:
        return
    router, state = found
    state.probe_due_at, state.probe_tries, state.status_before = None, 0, None
    set_status(session, router, "provisioning", None, now)


def provisioned(session: Session, router_id: int, status: str, reason: str | None, now: datetime) -> None:
    """The deployment is over; `reason` is why it failed."""
    found = _locked(session, router_id)
    if found is not None:
        set_status(session, found[0], status, reason, now)


def accept_certificate(session: Session, router_id: int, sha256: str, now: datetime) -> Router:
    """The one that the router offered is the one to expect from now on. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    if router.api_certificate_offered_sha256 != sha256:
        raise Conflict(
            "It does not offer this certificate (any more): look at api_certificate_offered_sha256.",
            code="certificate",
            field="sha256",
        )
    router.api_certificate_sha256, router.api_certificate_offered_sha256 = sha256, None
    router.updated_at = now
    session.flush()
    return router


def reached(
    session: Session,
    router_id: int,
    *,
    facts: Mapping[str, Any] | None,
    certificate_sha256: str | None,
    obstacles: str | None,
    now: datetime,
) -> None:
    """The router answered. `facts`: columns of Router, if they were read; `obstacles` go with them."""
    found = _locked(session, router_id)
    if found is None:
        return
    router, state = found
    for name, value in (facts or {}).items():
        if getattr(router, name) != value:
            setattr(router, name, value)
    if certificate_sha256 is not None and router.api_certificate_sha256 is None:
        router.api_certificate_sha256 = certificate_sha256
    if router.api_certificate_offered_sha256 is not None:
        router.api_certificate_offered_sha256 = None
    state.last_seen_at, state.failures = now, 0
    first = router.status in (*_PROBED, "connection_failed")
    if state.probe_due_at is not None:
        state.probe_due_at, state.probe_tries = None, 0
    if first or router.status == "offline":
        status = state.status_before or "online"
        reason = router_deployment.why_failed(session, router.id) if status == "failed" else obstacles
        set_status(session, router, status, reason, now)
        state.status_before = None
    elif router.status == "online" and facts is not None:
        set_status(session, router, "online", obstacles, now)
    if first:
        data = {name: getattr(router, name) for name in ("routeros_version", "board", "architecture", "identity")}
        event.record(
            session, "router.connected", {"router": router.name, **data}, router.tenant_id, router_id=router.id
        )
    session.flush()


def unreached(
    session: Session, router_id: int, *, reason: str, permanent: bool, offered_sha256: str | None, now: datetime
) -> None:
    """The router did not answer, or not as it should. `permanent`: until somebody changes something."""
    found = _locked(session, router_id)
    if found is None:
        return
    router, state = found
    state.failures += 1
    if offered_sha256 is not None:
        router.api_certificate_offered_sha256 = offered_sha256
    if state.probe_due_at is not None:
        state.probe_tries += 1
        if state.probe_tries >= PROBE_TRIES:
            state.probe_due_at = None
            set_status(session, router, "connection_failed", reason, now)
        else:
            state.probe_due_at += timedelta(seconds=PROBE_EVERY_S)
            state.probe_due_at = max(state.probe_due_at, now)
            set_status(session, router, "probing", reason, now)
    elif router.status == "offline":
        router.status_reason = reason
    elif router.status in ("online", "active", "failed") and (permanent or state.failures >= OFFLINE_AFTER_FAILURES):
        state.status_before = router.status
        set_status(session, router, "offline", reason, now)
    session.flush()


def has_tunnel(session: Session, router_id: int) -> bool:
    return router_tunnel.of(session, router_id) is not None


def _locked(session: Session, router_id: int) -> tuple[Router, RouterState] | None:
    """None if it was removed."""
    router = session.get(Router, router_id, with_for_update=True, populate_existing=True)
    if router is None or router.removed_at is not None:
        return None
    return router, session.get_one(RouterState, router_id, with_for_update=True, populate_existing=True)
