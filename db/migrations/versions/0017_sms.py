"""SMS: a tenant's gateway, and the messages."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "sms_gateway",
        sa.Column("tenant_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("sender_id", sa.Text(), nullable=True),
        sa.Column("base_url", sa.Text(), nullable=True),
        sa.Column("api_key_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("on_failure", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("provider IN ('outbox', 'africastalking')", name=op.f("sms_gateway_provider_check")),
        sa.CheckConstraint(
            "provider = 'outbox' OR username IS NOT NULL AND api_key_sealed IS NOT NULL",
            name=op.f("sms_gateway_complete_check"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("sms_gateway_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("sms_gateway_pkey")),
    )
    op.create_table(
        "sms_message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("msisdn", sa.Text(), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider_message_id", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('credentials', 'renewed', 'failed', 'test')", name=op.f("sms_message_kind_check")),
        sa.CheckConstraint("state IN ('waiting', 'kept', 'sent', 'failed')", name=op.f("sms_message_state_check")),
        sa.CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name=op.f("sms_message_sent_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("sms_message_tenant_id_fkey")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("sms_message_tenant_id_subscription_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("sms_message_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("sms_message_tenant_id_id_key")),
    )
    op.create_index("sms_message_tenant_id_created_at_idx", "sms_message", ["tenant_id", "created_at"], unique=False)
    op.create_index("sms_message_created_at_idx", "sms_message", ["created_at"], unique=False)
    op.execute((SQL / "0017_sms.sql").read_text())


def downgrade() -> None:
    op.drop_table("sms_message")
    op.drop_table("sms_gateway")
