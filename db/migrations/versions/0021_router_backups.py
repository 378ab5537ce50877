"""Configurations of routers, version by version."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "router_backup",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("routeros_version", sa.Text(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("router_backup_pkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("router_backup_tenant_id_fkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("router_backup_tenant_id_router_id_fkey"),
        ),
        sa.UniqueConstraint("router_id", "number", name=op.f("router_backup_router_id_number_key")),
    )
    op.add_column("router_state", sa.Column("backup_due_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("router_state", sa.Column("backup_error", sa.Text(), nullable=True))
    op.execute((SQL / "0021_router_backups.sql").read_text())


def downgrade() -> None:
    op.drop_column("router_state", "backup_error")
    op.drop_column("router_state", "backup_due_at")
    op.drop_table("router_backup")
