"""/api/v1/sessions"""

from uuid import UUID

from api.auth import READERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_query
from api.rights import HELPERS
from api.schemas.base import Listed
from api.schemas.session import SessionOut, SessionQuery
from db import session_list
from db.session_list import Filters


@with_query(READERS, SessionQuery, {200: Listed[SessionOut]})
def index(call: Call, query: SessionQuery) -> Reply:
    """Lists sessions, open and ended ones, newest first."""
    filters = Filters(
        open=query.open, subscription_id=query.subscription, router_id=query.router, username=query.username
    )
    page = session_list.page(call.session, page_request(query, session_list.SORTS, UUID), filters)
    return listing(query, page, SessionOut.of)


@endpoint(READERS, {200: SessionOut})
def read(call: Call) -> Reply:
    """Shows a session."""
    return Reply(SessionOut.of(session_list.by_key(call.session, call.path["session_key"])))


@endpoint(HELPERS, {202: SessionOut})
def disconnect(call: Call) -> Reply:
    """Has a session ended by its router, whatever it is entitled to; `/why` tells what becomes of it.

    Whoever was online may log in again. To keep somebody out, suspend the subscription.
    """
    return Reply(SessionOut.of(session_list.kick(call.session, call.path["session_key"])), 202)
