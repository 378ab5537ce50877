"""Idempotency keys: what the API answered to requests that may be sent again."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("answer_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(key) BETWEEN 1 AND 255", name=op.f("idempotency_key_key_check")),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("idempotency_key_admin_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("idempotency_key_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "admin_id", "key", name=op.f("idempotency_key_pkey")),
    )
    op.create_index("idempotency_key_created_at_idx", "idempotency_key", ["created_at"], unique=False)
    op.execute((SQL / "0003_security.sql").read_text())


def downgrade() -> None:
    op.drop_table("idempotency_key")
