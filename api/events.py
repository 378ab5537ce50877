"""/api/v1/events: what happened, and tickets to watch what happens."""

from api.auth import CASHIERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_query
from api.schemas.base import Listed
from api.schemas.event import EventOut, EventQuery, TicketOut, watching_role
from db import event_list, event_ticket


@with_query(CASHIERS, EventQuery, {200: Listed[EventOut]})
def index(call: Call, query: EventQuery) -> Reply:
    """Lists what happened, as far as the role may see it, newest first.

    `/api/v1/events/ws` tells the same as it happens.
    """
    page = event_list.page(
        call.session,
        page_request(query, event_list.SORTS),
        role=watching_role(call.caller.identity.role),
        tenant_id=call.caller.tenant_id,
        types=query.type.split(",") if query.type else (),
        subscription_id=query.subscription_id,
        router_id=query.router_id,
        since=query.since,
        until=query.until,
    )
    return listing(query, page, EventOut.of)


@endpoint(CASHIERS, {201: TicketOut})
def ticket(call: Call) -> Reply:
    """Makes a ticket, which opens one connection to `/api/v1/events/ws`.

    For a web page, which should not keep a token for that.
    """
    made = event_ticket.create(call.session, call.tenant_id, call.caller.identity, call.now)
    return Reply(TicketOut(ticket=made, expires_in_s=int(event_ticket.LIFE.total_seconds())), 201)
