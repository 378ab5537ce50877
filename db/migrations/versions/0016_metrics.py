"""Totals of events, and the counts that /metrics shows."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "event_total",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("type", name=op.f("event_total_pkey")),
    )
    op.create_table(
        "event_count",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("after_event_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("event_count_one_row_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("event_count_pkey")),
    )
    op.create_index(
        "event_passing_idx",
        "event",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("type IN ('dashboard.stats', 'router.live', 'job.progress', 'router.progress')"),
    )
    op.execute((SQL / "0016_metrics.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION platform_metrics()")
    op.drop_index("event_passing_idx", table_name="event")
    op.drop_table("event_count")
    op.drop_table("event_total")
