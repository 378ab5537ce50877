"""Figures for the dashboard, and which request caused a job."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.add_column("job", sa.Column("request_id", sa.Text(), nullable=True))
    op.create_table(
        "login_count",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejects", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("login_count_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "began_at", name=op.f("login_count_pkey")),
    )
    op.create_index("login_count_began_at_idx", "login_count", ["began_at"], unique=False)
    op.create_table(
        "revenue_day",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("received_kes", sa.Numeric(12, 2), nullable=False),
        sa.Column("reversed_kes", sa.Numeric(12, 2), nullable=False),
        sa.Column("payments", sa.Integer(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("revenue_day_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("revenue_day_pkey")),
    )
    op.create_table(
        "dashboard",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("figures", JSONB(), server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("dashboard_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("dashboard_pkey")),
    )
    op.create_index("usage_day_tenant_id_day_idx", "usage_day", ["tenant_id", "day"], unique=False)
    op.create_index(
        "payment_reversed_at_idx",
        "payment",
        ["tenant_id", "reversed_at"],
        unique=False,
        postgresql_where=sa.text("reversed_at IS NOT NULL"),
    )
    op.execute((SQL / "0014_operation.sql").read_text())


def downgrade() -> None:
    for table in ("job", "event"):
        op.execute(f"DROP POLICY platform ON {table}")
    op.drop_index("payment_reversed_at_idx", table_name="payment")
    op.drop_index("usage_day_tenant_id_day_idx", table_name="usage_day")
    for table in ("dashboard", "revenue_day", "login_count"):
        op.drop_table(table)
    op.drop_column("job", "request_id")
