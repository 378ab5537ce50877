"""What routers serve: what was found on them, what they are to serve, what was done to them."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Input, Output, Query
from api.schemas.fields import Moment, Name

Text = str | None


class HotspotIn(Input):
    """A hotspot on one interface. `addressing` router: its own address, pool and DHCP server there stay."""

    interface: Name
    addressing: Literal["kibali", "router"] = "kibali"
    network: Text = Field(None, description="Of its customers: 10.5.50.0/24.")
    gateway: Text = Field(None, description="The router's own address in it; null: the first.")
    pool: Text = Field(None, description="What is handed out: 10.5.50.10-10.5.50.254; null: all but the gateway.")
    login_by: list[Literal["http-chap", "http-pap", "cookie", "mac", "mac-cookie"]] | None = None
    dns_name: Text = Field(None, description="The name of its login page.")
    portal_url: Text = Field(None, description="Where customers log in and pay; null: the router's own page.")


class PppoeIn(Input):
    """A PPPoE server on one interface."""

    interface: Name
    network: str = Field(description="Of its customers: 10.64.0.0/22.")
    gateway: Text = None
    pool: Text = None
    service_name: Name = "kibali"
    authentication: list[Literal["pap", "chap", "mschap1", "mschap2"]] | None = None


class ServiceConfigIn(Input):
    """What a router is to serve. What it can not be is refused with its field: `hotspots.0.network`."""

    hotspots: list[HotspotIn] = Field([], max_length=32)
    pppoe: list[PppoeIn] = Field([], max_length=32)
    dns_servers: list[str] = Field([], max_length=4)
    nat: bool = Field(True, description="Hide customers behind the router's own address.")
    wan_interface: Name | None = Field(None, description="Only towards it; null: wherever they go.")
    walled_garden: list[str] = Field([], max_length=200, description="Hosts that are open before a login.")
    expired_address_list: Name | None = Field(
        None, description="The walled_garden_address_list of plans: whoever is in it reaches only the walled garden."
    )
    interim_update_s: int = 300


class ServiceConfigOut(Output):
    """A version of what a router is to serve."""

    version: int
    config: Mapping[str, Any]
    admin_id: int | None
    created_at: Moment


class VersionQuery(Query):
    """Left out: the newest."""

    version: int | None = Field(None, ge=1)


class InterfaceOut(Output):
    name: str
    type: str
    running: bool
    disabled: bool
    dynamic: bool
    bridge: str | None
    addresses: Sequence[str]
    mac_address: str | None
    comment: str | None
    lists: Sequence[str]
    services: Sequence[str]


class FindingOut(Output):
    """What an operator should know before customers come; `severity` is blocks or warns."""

    kind: str
    severity: str
    message: str
    remedy: str


class DiscoveryOut(Output):
    """What was found on a router when it was looked at last."""

    discovered_at: Moment
    routeros_version: str
    wan_interfaces: Sequence[str]
    interfaces: Sequence[InterfaceOut]
    pools: Mapping[str, str]
    findings: Sequence[FindingOut]


class ChangeOut(Output):
    """One thing that a deployment would do; secrets are left out."""

    action: str
    menu: str
    name: str
    before: Mapping[str, str]
    after: Mapping[str, str]


class DiffOut(Output):
    """What a deployment would change, by what the router had when it was discovered."""

    version: int
    discovered_at: Moment
    changes: Sequence[ChangeOut]
    by_hand: Sequence[str]


class DeploymentAccepted(Output):
    """The deployment that was asked for, and the job that does it."""

    deployment_id: int
    job_id: int


class DeploymentOut(Output):
    """A deployment. `state`: pending, running, retrying, then completed or failed, and undone later.

    `radius` is proved if the router was seen to take our answer, waiting if no customer has come yet.
    """

    id: int
    kind: str
    state: str
    stage: str | None
    percent: int
    error: str | None
    radius: str | None
    notes: Sequence[str]
    job_id: int | None
    undoes_id: int | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class DeploymentsOut(Output):
    """The newest first, at most 50."""

    items: Sequence[DeploymentOut]


class StepOut(Output):
    """A sentence to the router. `state`: planned, sending (nobody knows), applied, undone, or kept as it is now."""

    number: int
    state: str
    action: str
    menu: str
    found_by: Mapping[str, str]
    before: Mapping[str, str]
    after: Mapping[str, str]
    changed_at: Moment


class DeploymentWithSteps(DeploymentOut):
    """A deployment with its journal."""

    steps: Sequence[StepOut]
