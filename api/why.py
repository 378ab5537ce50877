"""/api/v1/why"""

from api.auth import READERS
from api.endpoint import Call, Reply, with_query
from api.schemas.why import WhyOut, WhyQuery
from db import why


@with_query(READERS, WhyQuery, {200: WhyOut})
def read(call: Call, query: WhyQuery) -> Reply:
    """Tells why somebody is online or is not, and what happened to them lately."""
    answer = why.ask(call.session, call.tenant_id, query.who, query.since, query.limit, call.now)
    return Reply(WhyOut.of_answer(answer))
