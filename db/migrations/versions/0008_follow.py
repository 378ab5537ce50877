"""What open sessions are to get, what their routers were told, and what was done about it."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, JSONB

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "follow",
        sa.Column("subscription_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("look_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("watch_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("octets_per_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sessions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("input_octets", sa.BigInteger(), nullable=True),
        sa.Column("output_octets", sa.BigInteger(), nullable=True),
        sa.Column("total_octets", sa.BigInteger(), nullable=True),
        sa.Column("session_time_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("follow_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("follow_look_at_idx", "follow", ["look_at"])
    op.create_index("follow_watch_from_idx", "follow", ["watch_from"], postgresql_where="watch_from IS NOT NULL")
    op.create_table(
        "follow_plan",
        sa.Column("plan_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("after_id", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("plan_id", name=op.f("follow_plan_pkey")),
    )
    op.create_table(
        "session_held",
        sa.Column("session_key", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held", JSONB(), server_default="{}", nullable=False),
        sa.Column("known_from", sa.Text(), nullable=False),
        sa.Column("listed", sa.Text(), nullable=True),
        sa.Column("listed_address", INET(), nullable=True),
        sa.Column("clear_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("known_from IN ('login', 'rules', 'follow')", name=op.f("session_held_known_from_check")),
        sa.CheckConstraint(
            "(listed IS NULL) = (listed_address IS NULL) AND (listed IS NULL) = (clear_at IS NULL)",
            name=op.f("session_held_listed_check"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("session_held_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("session_key", name=op.f("session_held_pkey")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index("session_held_clear_at_idx", "session_held", ["clear_at"], postgresql_where="listed IS NOT NULL")
    op.create_table(
        "session_intent",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("session_key", sa.Uuid(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("desired", JSONB(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("way", sa.Text(), server_default="coa", nullable=False),
        sa.Column("packets", JSONB(), server_default="[]", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("action IN ('adjust', 'disconnect')", name=op.f("session_intent_action_check")),
        sa.CheckConstraint(
            "state IN ('waiting', 'sent', 'verifying', 'done', 'failed', 'superseded')",
            name=op.f("session_intent_state_check"),
        ),
        sa.CheckConstraint("way IN ('coa', 'disconnect', 'api')", name=op.f("session_intent_way_check")),
        sa.CheckConstraint(
            "(state IN ('done', 'failed', 'superseded')) = (finished_at IS NOT NULL)"
            " AND (finished_at IS NULL) = (due_at IS NOT NULL)",
            name=op.f("session_intent_finished_check"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("session_intent_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("session_intent_pkey")),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(
        "session_intent_session_key_key",
        "session_intent",
        ["session_key"],
        unique=True,
        postgresql_where="finished_at IS NULL AND cause <> 'kick'",
    )
    op.create_index(
        "session_intent_kick_key",
        "session_intent",
        ["session_key"],
        unique=True,
        postgresql_where="finished_at IS NULL AND cause = 'kick'",
    )
    op.create_index("session_intent_due_at_idx", "session_intent", ["due_at"], postgresql_where="finished_at IS NULL")
    op.create_index("session_intent_created_at_idx", "session_intent", ["created_at"])
    op.create_index("session_intent_session_key_idx", "session_intent", ["session_key"])
    op.create_index(
        "session_intent_subscription_id_created_at_idx", "session_intent", ["subscription_id", "created_at"]
    )
    op.execute((SQL / "0008_follow.sql").read_text())


def downgrade() -> None:
    for table, trigger in (
        ("subscription", "follow"),
        ("plan", "follow"),
        ("subscription_router", "follow_added"),
        ("subscription_router", "follow_removed"),
        ("session_intent", "notify"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for table in ("session_intent", "session_held", "follow_plan", "follow"):
        op.drop_table(table)
    for function in ("follow_subscriptions()", "follow_plans()", "follow_routers()", "notify_follow()"):
        op.execute(f"DROP FUNCTION {function}")
