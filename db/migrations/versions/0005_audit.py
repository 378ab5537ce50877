"""The audit log: who changed what, from where, before and after."""

import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, JSONB

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"

AUDITED = (
    "tenant",
    "admin",
    "api_token",
    "plan",
    "subscriber",
    "subscription",
    "subscription_router",
    "device",
    "router",
    "router_state",
    "payment_account",
    "payment_intent",
    "payment",
    "voucher_batch",
    "voucher",
    "job",
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("address", INET(), nullable=True),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("what_id", sa.Text(), nullable=True),
        sa.Column("before", JSONB(), nullable=True),
        sa.Column("after", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("id", "created_at", name=op.f("audit_pkey")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("audit_tenant_id_id_idx", "audit", ["tenant_id", "id"], unique=False)
    op.create_index(
        "audit_tenant_id_what_what_id_id_idx", "audit", ["tenant_id", "what", "what_id", "id"], unique=False
    )
    op.execute((SQL / "0005_audit.sql").read_text())


def downgrade() -> None:
    for table in AUDITED:
        op.execute(f"DROP TRIGGER audit ON {table}")
    for table in ("tenant", "admin", "api_token"):
        op.execute(f"DROP POLICY platform ON {table}")
    for before in re.findall(r"CREATE (FUNCTION .*?END \$\$;)", (SQL / "0001_partitions.sql").read_text(), re.DOTALL):
        op.execute(f"CREATE OR REPLACE {before}")
    op.drop_table("audit")
    for function in (
        "month_column(text)",
        "is_platform()",
        "audit_note(text, text)",
        "audit_table(regclass, boolean)",
        "audit_condition(boolean)",
        "audit_statement()",
        "audit_change()",
        "key_columns(regclass)",
        "secret_columns(regclass)",
        "write_audit(bigint, text, text, text, jsonb, jsonb)",
    ):
        op.execute(f"DROP FUNCTION {function}")
