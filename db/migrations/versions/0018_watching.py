"""Watching routers: who watches which, what was read last, and the history of it."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"

COLUMNS = (
    sa.Column("probe_due_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("probe_tries", sa.Integer(), server_default="0", nullable=False),
    sa.Column("watcher_id", sa.Uuid(), nullable=True),
    sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
    sa.Column("status_before", sa.Text(), nullable=True),
    sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("cpu_load_percent", sa.Integer(), nullable=True),
    sa.Column("free_memory_bytes", sa.BigInteger(), nullable=True),
    sa.Column("total_memory_bytes", sa.BigInteger(), nullable=True),
    sa.Column("free_hdd_bytes", sa.BigInteger(), nullable=True),
    sa.Column("total_hdd_bytes", sa.BigInteger(), nullable=True),
    sa.Column("hotspot_sessions", sa.Integer(), nullable=True),
    sa.Column("ppp_sessions", sa.Integer(), nullable=True),
    sa.Column("interfaces", JSONB(), nullable=True),
)


def upgrade() -> None:
    op.create_table(
        "watcher",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("watcher_pkey")),
    )
    for column in COLUMNS:
        op.add_column("router_state", column)
    op.create_foreign_key(
        op.f("router_state_watcher_id_fkey"), "router_state", "watcher", ["watcher_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index("router_state_watcher_id_idx", "router_state", ["watcher_id"], unique=False)
    op.create_table(
        "router_history",
        sa.Column("router_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("period_s", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("readings", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("cpu_load_sum", sa.BigInteger(), nullable=False),
        sa.Column("cpu_load_max", sa.Integer(), nullable=False),
        sa.Column("free_memory_min_bytes", sa.BigInteger(), nullable=True),
        sa.Column("hotspot_sessions_sum", sa.BigInteger(), nullable=False),
        sa.Column("hotspot_sessions_max", sa.Integer(), nullable=False),
        sa.Column("ppp_sessions_sum", sa.BigInteger(), nullable=False),
        sa.Column("ppp_sessions_max", sa.Integer(), nullable=False),
        sa.Column("rx_bytes", sa.BigInteger(), nullable=False),
        sa.Column("tx_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("router_history_tenant_id_router_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("router_history_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("router_id", "period_s", "began_at", name=op.f("router_history_pkey")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("router_history_period_s_began_at_idx", "router_history", ["period_s", "began_at"], unique=False)
    op.execute((SQL / "0018_watching.sql").read_text())


def downgrade() -> None:
    op.execute("REVOKE UPDATE ON router_state FROM kibali_api")
    op.drop_table("router_history")
    op.drop_constraint(op.f("router_state_watcher_id_fkey"), "router_state")
    op.drop_index("router_state_watcher_id_idx", "router_state")
    for column in reversed(COLUMNS):
        op.drop_column("router_state", column.name)
    op.drop_table("watcher")
