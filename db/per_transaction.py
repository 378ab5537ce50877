"""What is kept of a session's running transaction, and gone with it: savepoints within it share it."""

from collections.abc import Callable
from typing import TypeVar, cast

from sqlalchemy.orm import Session

T = TypeVar("T")


def kept(session: Session, key: str, make: Callable[[], T]) -> T:
    """What was made under `key` in this transaction; made now if nothing was."""
    transaction = session.get_transaction() or session.begin()
    found = session.info.get(key)
    if found is None or found[0] is not transaction:
        found = session.info[key] = (transaction, make())
    return cast(T, found[1])


def taken(session: Session, key: str, make: Callable[[], T]) -> T:
    """Before a commit: what was kept, and is not any more. Of a savepoint's commit, and of nothing, a new one."""
    if session.in_nested_transaction():
        return make()
    transaction, found = session.info.pop(key, (None, None))
    return cast(T, found) if transaction is not None and transaction is session.get_transaction() else make()
