"""What the running transaction holds: rows that it has locked, so that nobody else changes them before it ends.

They are read once. Whoever holds one again gets the same object, with what this transaction has changed of it. Work on
many things at once holds all their rows first, each table's in the order of their ids: two such transactions then wait
for each other in one direction only.
"""

from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeVar, cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.base import Base
from db.per_transaction import kept

M = TypeVar("M", bound=Base)
T = TypeVar("T")
_HELD = "kibali_held"


def take_turn(session: Session, what: str, number: int) -> None:
    """Until the transaction ends nobody else has this turn: to do what must not be done twice at once."""
    statement = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, :number))")
    session.execute(statement, {"what": what, "number": number})


def lock(session: Session, model: type[M], row_id: int) -> M | None:
    """The row as it is now, and so until the transaction ends; None if there is none."""
    known = facts(session)
    if (model, row_id) in known:
        return cast(M, known[model, row_id])
    _write_what_changed(session, model, row_id)
    found = session.get(model, row_id, with_for_update={"key_share": True}, populate_existing=True)
    if found is not None:
        known[model, row_id] = found
    return found


def lock_all(session: Session, model: type[M], row_ids: Collection[int]) -> list[M]:
    """Those that there are, in the order of their ids."""
    known = facts(session)
    wanted = sorted({each for each in row_ids if (model, each) not in known})
    if wanted:
        key: Any = model.__mapper__.primary_key[0]
        statement = select(model).where(key.in_(wanted)).order_by(key).with_for_update(key_share=True)
        for row in session.scalars(statement.execution_options(populate_existing=True)):
            known[model, model.__mapper__.primary_key_from_instance(row)[0]] = row
    return [cast(M, known[model, each]) for each in sorted(set(row_ids)) if (model, each) in known]


def read_all(session: Session, model: type[Base], row_ids: Collection[int]) -> None:
    """Without a lock: they stay in the session, for `session.get`."""
    key: Any = model.__mapper__.primary_key[0]
    facts(session)[read_all, model] = session.scalars(select(model).where(key.in_(row_ids))).all()


def note(session: Session, row: Base) -> None:
    """A row that this transaction has made is held, too."""
    facts(session)[type(row), row.__mapper__.primary_key_from_instance(row)[0]] = row


def once(session: Session, key: Hashable, find: Callable[[], T]) -> T:
    """What `find` returns, which is asked once in a transaction: for what need not be newer than its beginning."""
    known = facts(session)
    if key not in known:
        known[key] = find()
    return cast(T, known[key])


def facts(session: Session) -> dict[Any, Any]:
    """What is known for certain until the transaction ends. Within a savepoint nothing is, for that may be undone."""
    if session.in_nested_transaction():
        session.info.pop(_HELD, None)
        return {}
    return kept(session, _HELD, dict[Any, Any])


def _write_what_changed(session: Session, model: type[M], row_id: int) -> None:
    """Else it would be read over."""
    there = session.identity_map.get(model.__mapper__.identity_key_from_primary_key((row_id,)))
    if there is not None and session.is_modified(there):
        session.flush()
