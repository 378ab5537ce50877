"""/api/v1/subscribers/{id}/wallet: what a subscriber has to spend, and how that came about."""

from api.auth import CASHIERS
from api.cursor import listed, page_request
from api.endpoint import Call, Reply, with_query
from api.schemas.payment import WalletLineOut, WalletOut, WalletQuery
from db import ledger, ledger_list, subscriber


@with_query(CASHIERS, WalletQuery, {200: WalletOut})
def read(call: Call, query: WalletQuery) -> Reply:
    """Shows what a subscriber has to spend and, newest first, how that came about."""
    subscriber.by_id(call.session, call.id)
    page = ledger_list.of_wallet(call.session, call.id, page_request(query, ledger_list.SORTS))
    balance_kes = ledger.balance(call.session, call.id)
    lines = listed(query, page, WalletLineOut.of)
    return Reply(WalletOut.beside(lines, subscriber_id=call.id, balance_kes=balance_kes))
