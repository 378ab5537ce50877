"""/api/v1/routers"""

from datetime import timedelta

from api.answers import Text
from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import Listed, given, values_of
from api.schemas.router import (
    BootstrapQuery,
    CertificateAccept,
    HistoryQuery,
    RouterChange,
    RouterCreate,
    RouterCreated,
    RouterHistoryOut,
    RouterLiveOut,
    RouterOut,
    RouterPeriodOut,
    RouterQuery,
    RouterStatusOut,
    RouterTerms,
    TunnelCreate,
    TunnelOut,
    TunnelQuery,
)
from db import router, router_bootstrap, router_history, router_life, router_tunnel
from db.refusal import NotFound
from db.router_state import RouterState
from isp import credentials
from isp.router_script import Major


@with_query(READERS, RouterQuery, {200: Listed[RouterOut]})
def index(call: Call, query: RouterQuery) -> Reply:
    """Lists routers in service, or with `removed` those that were."""
    request = page_request(query, router.SORTS)
    return listing(query, router.page(call.session, request, status=query.status, removed=query.removed), RouterOut.of)


@with_body(WRITERS, RouterCreate, {201: RouterCreated})
def create(call: Call, body: RouterCreate) -> Reply:
    """Makes a router. A RADIUS secret that was made up is in this answer and in no other."""
    values = dict(values_of(body))
    secret = values.pop("radius_secret") or credentials.new_radius_secret()
    created = router_bootstrap.create_router(
        call.session,
        call.tenant_id,
        values,
        tunnel=values.pop("tunnel"),
        radius_secret=secret,
        site=call.site,
        keyring=call.keyring,
        now=call.now,
    )
    made_up = {"radius_secret": secret} if body.radius_secret is None else {}
    return Reply(
        RouterCreated.beside(RouterOut.of(created), **made_up), 201, {"Location": f"/api/v1/routers/{created.id}"}
    )


@endpoint(READERS, {200: RouterOut})
def read(call: Call) -> Reply:
    """Shows a router."""
    return Reply(RouterOut.of(router.by_id(call.session, call.id)))


@with_body(WRITERS, RouterChange, {200: RouterOut})
def change(call: Call, body: RouterTerms) -> Reply:
    """Changes a router: what is given."""
    values = given(body)
    secret = values.pop("radius_secret", None)
    changed = router.change(call.session, call.id, values, radius_secret=secret, keyring=call.keyring, now=call.now)
    return Reply(RouterOut.of(changed))


@endpoint(WRITERS, {204: None})
def remove(call: Call) -> Reply:
    """Removes a router. The record stays; its address is free for another."""
    router.remove(call.session, call.id, call.now)
    return NO_CONTENT


@with_query(WRITERS, BootstrapQuery, {200: Text("text/plain")})
def bootstrap(call: Call, query: BootstrapQuery) -> Reply:
    """Writes the script that lets Kibali into the router: pasted once or many times. It holds secrets."""
    major: Major = 6 if query.variant == "v6" else 7
    if query.remove:
        content = router_bootstrap.removal(call.session, call.id, major)
    else:
        content = router_bootstrap.script(call.session, call.id, major, call.site, call.keyring)
    return Reply(content, headers={"Cache-Control": "no-store"})


@endpoint(READERS, {200: TunnelOut})
def tunnel(call: Call) -> Reply:
    """Shows the tunnel of a router behind carrier NAT."""
    router.by_id(call.session, call.id)
    found = router_tunnel.of(call.session, call.id)
    if found is None:
        raise NotFound("tunnel")
    return Reply(TunnelOut.of(found))


@with_body(WRITERS, TunnelCreate, {200: TunnelOut})
def give_tunnel(call: Call, body: TunnelCreate) -> Reply:
    """Gives a router behind carrier NAT a tunnel; its address is from now on the router's `nas_address`."""
    made = router_bootstrap.give_tunnel(call.session, call.id, body.kind, call.site, call.keyring)
    return Reply(TunnelOut.of(made))


@with_query(WRITERS, TunnelQuery, {200: RouterOut})
def take_tunnel(call: Call, query: TunnelQuery) -> Reply:
    """Takes the tunnel away: the router is reached at `nas_address`."""
    return Reply(RouterOut.of(router_bootstrap.take_tunnel(call.session, call.id, query.nas_address)))


@endpoint(READERS, {200: RouterStatusOut})
def status(call: Call) -> Reply:
    """Shows how a router is, and why."""
    return Reply(_status(call))


@endpoint(READERS, {200: RouterLiveOut})
def live(call: Call) -> Reply:
    """Shows what was read of a router last: load, memory, sessions, traffic."""
    router.by_id(call.session, call.id)
    return Reply(RouterLiveOut.of(call.session.get_one(RouterState, call.id)))


@with_query(READERS, HistoryQuery, {200: RouterHistoryOut})
def history(call: Call, query: HistoryQuery) -> Reply:
    """Shows what a router did over time, for graphs; the oldest first."""
    router.by_id(call.session, call.id)
    since = call.now - timedelta(hours=query.hours)
    rows = router_history.of(call.session, call.id, int(query.period), since, limit=10_000)
    return Reply(RouterHistoryOut(items=[RouterPeriodOut.of(row) for row in rows]))


@endpoint(WRITERS, {202: RouterStatusOut})
def verify(call: Call) -> Reply:
    """Has a router probed from now on: each 10 s, up to 60 times, until it answers. `status` tells what comes of it."""
    router_life.begin_probing(call.session, call.id, call.now)
    return Reply(_status(call), 202, {"Location": f"/api/v1/routers/{call.id}/status"})


@with_body(WRITERS, CertificateAccept, {200: RouterOut})
def accept_certificate(call: Call, body: CertificateAccept) -> Reply:
    """Accepts the other certificate that a router offers since it was reset or got a new one."""
    return Reply(RouterOut.of(router_life.accept_certificate(call.session, call.id, body.sha256, call.now)))


def _status(call: Call) -> RouterStatusOut:
    found = router.by_id(call.session, call.id)
    return RouterStatusOut.of_both(found, call.session.get_one(RouterState, call.id))
