"""What a ticket for events was got with: when that is over, so is what the ticket opened."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0024"
down_revision: str | None = "0023"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"
# In 0009_events.sql the functions as they were are the last that is said.
BEFORE = "-- The role of one of the tenant's admins"


def upgrade() -> None:
    op.execute("DROP FUNCTION use_event_ticket(bytea)")
    op.execute("DROP FUNCTION watcher_role(bigint, bigint)")
    op.execute("DELETE FROM event_ticket")  # they live for a minute
    for column, table in (("token_id", "api_token"), ("session_id", "admin_session")):
        op.add_column("event_ticket", sa.Column(column, sa.BigInteger(), nullable=True))
        name = op.f(f"event_ticket_{column}_fkey")
        op.create_foreign_key(name, "event_ticket", table, [column], ["id"], ondelete="CASCADE")
    op.create_check_constraint(
        op.f("event_ticket_credential_check"), "event_ticket", "num_nonnulls(token_id, session_id) = 1"
    )
    op.execute((SQL / "0024_tickets.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION use_event_ticket(bytea)")
    op.execute("DROP FUNCTION watcher_role(bigint, bigint, bigint, bigint)")
    op.drop_column("event_ticket", "token_id")
    op.drop_column("event_ticket", "session_id")
    before = (SQL / "0009_events.sql").read_text()
    op.execute(before[before.index(BEFORE) :])
