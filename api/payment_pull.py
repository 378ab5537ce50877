"""/api/v1/payment-accounts/{id}/register-pull and …/pull: finding payments that nobody told of."""

from api import jobs
from api.auth import OWNERS, WRITERS
from api.endpoint import Call, Reply, endpoint, with_body
from api.payment_accounts import public_url
from api.schemas.job import JobAccepted
from api.schemas.payment_account import RegisterPull
from tasks import payment_orders


@with_body(OWNERS, RegisterPull, {202: JobAccepted})
def register(call: Call, body: RegisterPull) -> Reply:
    """Has M-Pesa keep what is paid to the account, so that Kibali finds payments that nobody told of."""
    public_url(call)
    return jobs.accepted(payment_orders.register_pull(call.session, call.tenant_id, call.id, body.nominated_phone))


@endpoint(WRITERS, {202: JobAccepted})
def pull(call: Call) -> Reply:
    """Looks for payments that nobody told of, now. It is done every ten minutes by itself."""
    return jobs.accepted(payment_orders.pull(call.session, call.tenant_id, call.id))
