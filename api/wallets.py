"""/api/v1/subscribers/{id}/wallet: what a subscriber has to spend, and how that came about."""

from api.auth import CASHIERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, with_query
from api.schemas.payment import WalletLineOut, WalletOut, WalletQuery
from db import ledger, ledger_list, subscriber


@with_query(CASHIERS, WalletQuery)
def read(call: Call, query: WalletQuery) -> Reply:
    """The balance, and beside it the usual list: newest first."""
    subscriber.by_id(call.session, call.id)
    page = ledger_list.of_wallet(call.session, call.id, page_request(query, ledger_list.SORTS))
    lines = listing(query, page, WalletLineOut.of)
    assert isinstance(lines.content, dict)
    balance = WalletOut.model_construct(subscriber_id=call.id, balance_kes=ledger.balance(call.session, call.id))
    return Reply({**balance.model_dump(mode="json"), **lines.content})
