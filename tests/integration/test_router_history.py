"""The history of routers is kept as long as is said, and no longer."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.router_history import KEPT_DAYS
from settings import Settings
from tasks import router_housekeeping
from tests.fakes.routeros import RunningRouter
from tests.integration.watching import site_of

_INSERT = text(
    "INSERT INTO router_history (tenant_id, router_id, period_s, began_at, readings, failures, cpu_load_sum,"
    " cpu_load_max, hotspot_sessions_sum, hotspot_sessions_max, ppp_sessions_sum, ppp_sessions_max, rx_bytes, tx_bytes)"
    " VALUES (:tenant, :router, :period, :at, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
)


def test_each_period_goes_when_its_time_is_over(settings: Settings) -> None:
    now = datetime.now(UTC)
    with site_of(settings) as site:
        router = site.know(RunningRouter(), probe=False)
        with site.sessions.begin() as session:
            for period, days in KEPT_DAYS.items():
                for age in (timedelta(days=days, hours=-1), timedelta(days=days, hours=1)):
                    values = {"tenant": site.tenant_id, "router": router, "period": period, "at": now - age}
                    session.execute(_INSERT, values)
        with site.sessions.begin() as session:
            router_housekeeping.prune(session, now, commit=session.flush)
        left = site.rows("SELECT period_s, began_at FROM router_history ORDER BY period_s")
        assert [(row.period_s, row.began_at) for row in left] == [
            (period, now - timedelta(days=days, hours=-1)) for period, days in KEPT_DAYS.items()
        ]
