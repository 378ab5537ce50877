"""Runs migrations on the connection that db/prepare.py hands over."""

from typing import Any

from alembic import context

from db.models import Base


def is_modelled(_object: object, name: str | None, type_: str, _reflected: bool, _compare_to: object) -> bool:
    """Partitions are made as months come; only their parents are models."""
    return not (
        type_ == "table" and name is not None and name not in Base.metadata.tables and name != "alembic_version"
    )


options: dict[str, Any] = {"target_metadata": Base.metadata, "include_object": is_modelled}
context.configure(connection=context.config.attributes["connection"], **options)
with context.begin_transaction():
    context.run_migrations()
