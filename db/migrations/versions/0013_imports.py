"""What is taken over from running routers: pools, and what came of each account."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "ip_pool",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ranges", sa.Text(), nullable=False),
        sa.Column("addresses", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("addresses > 0", name=op.f("ip_pool_addresses_check")),
        *_keys("ip_pool", "router_id", "router"),
        sa.UniqueConstraint("router_id", "name", name=op.f("ip_pool_router_id_name_key")),
    )
    op.create_table(
        "router_import",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("plans", JSONB(), server_default="{}", nullable=False),
        sa.Column("confirmed", JSONB(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("counts", JSONB(), server_default="{}", nullable=False),
        sa.Column("profiles", JSONB(), server_default="{}", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'completed', 'failed')", name=op.f("router_import_state_check")
        ),
        *_keys("router_import", "router_id", "router"),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("router_import_tenant_id_id_key")),
    )
    op.create_index("router_import_router_id_id_idx", "router_import", ["router_id", "id"], unique=False)
    op.create_table(
        "router_import_row",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('new', 'imported', 'there', 'failed')", name=op.f("router_import_row_outcome_check")
        ),
        *_keys("router_import_row", "import_id", "router_import", ondelete="CASCADE"),
    )
    op.create_index(
        "router_import_row_import_id_outcome_idx", "router_import_row", ["import_id", "outcome"], unique=False
    )
    op.execute((SQL / "0013_imports.sql").read_text())


def downgrade() -> None:
    for table in ("router_import_row", "router_import", "ip_pool"):
        op.drop_table(table)


def _keys(table: str, column: str, other: str, ondelete: str | None = None) -> tuple[sa.Constraint, ...]:
    return (
        sa.PrimaryKeyConstraint("id", name=op.f(f"{table}_pkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"{table}_tenant_id_fkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", column],
            [f"{other}.tenant_id", f"{other}.id"],
            name=op.f(f"{table}_tenant_id_{column}_fkey"),
            ondelete=ondelete,
        ),
    )
