"""`kibali dashboard`"""

import click

from cli.desk import at_tenant, tenant_option
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from db import dashboard as dashboards
from db.dashboard import Figures
from settings import Settings


@click.command()
@tenant_option
@json_option
@pass_settings
def dashboard(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """Who is online, logins, revenue, payments, routers, traffic: figures of at most half a minute ago."""
    with at_tenant(settings, tenant_slug) as desk:
        found = dashboards.of_tenant(desk.session, desk.tenant.id)
        if found is None:
            found = Figures(desk.now, dashboards.compute(desk.session, desk.tenant.id, desk.now))
    if as_json:
        print_json({"computed_at": found.computed_at, **found.values})
        return
    rows = [
        {"figure": f"{subject} {name.replace('_', ' ')}", "value": value}
        for subject, values in found.values.items()
        for name, value in values.items()
    ]
    print_rows([{"figure": "computed at", "value": found.computed_at}, *rows], ("figure", "value"), as_json=False)
