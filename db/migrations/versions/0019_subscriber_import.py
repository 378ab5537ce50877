"""Imports of subscribers from files."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql" / "0019_subscriber_import.sql"


def upgrade() -> None:
    counts = ("rows_read", "subscribers_made", "subscriptions_made", "rows_known", "rows_bad")
    op.create_table(
        "subscriber_import",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in counts),
        sa.Column("errors", JSONB(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("format IN ('csv', 'json')", name=op.f("subscriber_import_format_check")),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("subscriber_import_admin_id_fkey")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["job.id"], name=op.f("subscriber_import_job_id_fkey"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("subscriber_import_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscriber_import_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("subscriber_import_tenant_id_id_key")),
    )
    op.create_index("subscriber_import_job_id_idx", "subscriber_import", ["job_id"], unique=False)
    op.create_table(
        "subscriber_import_piece",
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"],
            ["subscriber_import.id"],
            name=op.f("subscriber_import_piece_import_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("subscriber_import_piece_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("subscriber_import_piece_pkey")),
    )
    op.execute(SQL.read_text("utf-8"))


def downgrade() -> None:
    op.drop_table("subscriber_import_piece")
    op.drop_table("subscriber_import")
