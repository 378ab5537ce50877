"""The dashboard's figures."""

from api.schemas.base import Output
from api.schemas.fields import Moment


class Online(Output):
    """Open sessions."""

    total: int
    hotspot: int
    pppoe: int


class Logins(Output):
    """Answered logins; today is the tenant's."""

    accepts_today: int
    rejects_today: int
    accepts_last_hour: int
    rejects_last_hour: int


class Revenue(Output):
    """Money that came in, less what was reversed. Vouchers are left out: their money came when they were sold."""

    today_kes: str
    month_kes: str
    payments_today: int
    payments_month: int


class PaymentsNow(Output):
    """`pending`: customers who are being asked; `received`: about to be credited; `suspense`: of nobody known."""

    pending: int
    received: int
    suspense: int


class Traffic(Output):
    """Of the tenant's day so far. `bits_per_s`: both ways together, since the figures before these."""

    day: str
    upload_octets: int
    download_octets: int
    bits_per_s: int | None


class DashboardOut(Output):
    """Figures as they were at `computed_at`, at most half a minute ago while the workers run."""

    computed_at: Moment
    online: Online
    logins: Logins
    revenue: Revenue
    payments: PaymentsNow
    routers: dict[str, int]
    traffic: Traffic
