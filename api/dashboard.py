"""/api/v1/dashboard"""

from api.auth import READERS
from api.endpoint import Call, Reply, endpoint
from api.schemas.dashboard import DashboardOut
from db import dashboard
from db.dashboard import Figures


@endpoint(READERS, {200: DashboardOut})
def read(call: Call) -> Reply:
    """Shows the figures that are refreshed each half minute, and told as the event `dashboard.stats`.

    Who is online, logins, revenue, payments that wait, routers by status, traffic.
    """
    found = dashboard.of_tenant(call.session, call.tenant_id)
    if found is None:  # of a tenant that is some seconds old
        found = Figures(call.now, dashboard.compute(call.session, call.tenant_id, call.now))
    return Reply(DashboardOut.model_validate({"computed_at": found.computed_at, **found.values}))
