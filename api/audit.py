"""/api/v1/audit: who changed what, from where, before and after."""

from api.cursor import listing, page_request
from api.endpoint import Call, Reply, with_query
from api.rights import AUDITORS
from api.schemas.audit import AuditOut, AuditQuery
from api.schemas.base import Listed
from db import audit
from db.audit import Filters


@with_query(AUDITORS, AuditQuery, {200: Listed[AuditOut]})
def index(call: Call, query: AuditQuery) -> Reply:
    """Lists changes, newest first; the platform's admins who choose no tenant see all."""
    filters = Filters(**query.model_dump(exclude={"limit", "cursor", "sort"}))
    page = audit.page(call.session, page_request(query, audit.SORTS), filters, tenant_id=call.caller.tenant_id)
    return listing(query, page, AuditOut.of)
