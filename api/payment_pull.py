"""/api/v1/payment-accounts/{id}/register-pull and …/pull: finding payments that nobody told of."""

from api import jobs
from api.auth import OWNERS, WRITERS
from api.endpoint import Call, Reply, endpoint, with_body
from api.payment_accounts import public_url
from api.schemas.job import JobAccepted
from api.schemas.payment_account import RegisterPull
from db import payment_account
from db.refusal import Conflict
from tasks.enqueue import enqueue
from tasks.pull_payments import pull_payments, register_pull


@with_body(OWNERS, RegisterPull, {202: JobAccepted})
def register(call: Call, body: RegisterPull) -> Reply:
    """Has M-Pesa keep what is paid to the account, so that Kibali finds payments that nobody told of."""
    public_url(call)
    account = payment_account.by_id(call.session, call.id)
    if account.disabled_at is not None:
        raise Conflict("This payment account is disabled.", code="disabled")
    args = {"account_id": account.id, "msisdn": body.nominated_phone}
    unique_key = f"register-pull:{account.id}"
    return jobs.accepted(enqueue(call.session, register_pull, args, tenant_id=call.tenant_id, unique_key=unique_key))


@endpoint(WRITERS, {202: JobAccepted})
def pull(call: Call) -> Reply:
    """Looks for payments that nobody told of, now. It is done every ten minutes by itself."""
    account = payment_account.by_id(call.session, call.id)
    if account.pull_registered_at is None:
        message = "This account is not registered for that. Register it first: POST …/register-pull."
        raise Conflict(message, code="not_registered")
    args, unique_key = {"account_id": account.id}, f"pull:{account.id}"
    return jobs.accepted(enqueue(call.session, pull_payments, args, tenant_id=call.tenant_id, unique_key=unique_key))
