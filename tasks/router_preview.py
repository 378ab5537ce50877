"""What a deployment would do, by what a router had when it was looked at last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db import router as routers
from db import router_discovery, router_service
from db.router_bootstrap import Site
from isp.router_contents import RouterContents
from isp.router_diff import Change, changes
from isp.router_service import service_config
from isp.router_service_script import service_script
from isp.router_wanted import Wanted, by_hand, wanted
from tasks.router_radius_client import client_at


@dataclass(frozen=True, slots=True)
class Preview:
    version: int
    discovered_at: datetime
    changes: Sequence[Change]
    by_hand: Sequence[str]


def preview(session: Session, router_id: int, version: int | None, site: Site) -> Preview:
    """Raises NotFound, Conflict."""
    stored, due, contents, discovered_at = _wanted(session, router_id, version, site)
    notes = by_hand(service_config(stored.config), contents)
    return Preview(stored.version, discovered_at, changes(due, contents), notes)


def script(session: Session, router_id: int, version: int | None, site: Site) -> str:
    """Raises NotFound, Conflict."""
    stored, due, contents, _ = _wanted(session, router_id, version, site)
    return service_script(due, by_hand(service_config(stored.config), contents))


def _wanted(
    session: Session, router_id: int, version: int | None, site: Site
) -> tuple[router_service.RouterServiceConfig, list[Wanted], RouterContents, datetime]:
    router = routers.by_id(session, router_id)
    stored = router_service.of(session, router_id, version)
    contents, discovered_at = router_discovery.of(session, router_id)
    # The secret is neither shown nor compared: what was stored of the router has none either.
    client = client_at(session, router, site, secret="")
    return stored, wanted(service_config(stored.config), client, contents), contents, discovered_at
