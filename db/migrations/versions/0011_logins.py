"""How admins log in: sessions, one-time passwords, attempts; scopes of API tokens; tenants that are closed."""

import re
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, INET

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

AUDITED_BEFORE = {
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
}
SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "admin", sa.Column("must_change_password", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column("admin", sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("admin", sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_token", sa.Column("scopes", ARRAY(sa.Text()), nullable=True))
    op.create_table(
        "admin_session",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("address", INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("admin_session_admin_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("admin_session_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("admin_session_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("admin_session_token_hash_key")),
    )
    op.create_index("admin_session_admin_id_idx", "admin_session", ["admin_id"], unique=False)
    op.create_table(
        "admin_totp",
        sa.Column("admin_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=True),
        sa.Column("recovery_hashes", ARRAY(sa.LargeBinary()), nullable=True),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("admin_totp_admin_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("admin_totp_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("admin_id", name=op.f("admin_totp_pkey")),
    )
    op.create_table(
        "login_attempt",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("email_digest", sa.LargeBinary(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("attempted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("login_attempt_pkey")),
    )
    op.create_index(
        "login_attempt_email_digest_attempted_at_idx", "login_attempt", ["email_digest", "attempted_at"], unique=False
    )
    op.create_index("login_attempt_source_attempted_at_idx", "login_attempt", ["source", "attempted_at"], unique=False)
    op.create_index("login_attempt_attempted_at_idx", "login_attempt", ["attempted_at"], unique=False)
    op.execute((SQL / "0011_logins.sql").read_text())


def downgrade() -> None:
    # Of tables that 0005 does not know: its own it drops itself.
    watched = sa.text("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'audit'")
    for table in op.get_bind().scalars(watched).all():
        if table not in AUDITED_BEFORE:
            op.execute(f"DROP TRIGGER audit ON {table}")
    for function in (
        "authenticate_token(bytea)",
        "authenticate_session(bytea, integer)",
        "forgive_login(bigint)",
        "claim_login(text, text, integer, integer, integer, integer)",
        "login_of(text)",
    ):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("login_attempt", "admin_totp", "admin_session"):
        op.drop_table(table)
    op.execute("REVOKE INSERT ON admin FROM kibali_api")
    op.execute("REVOKE INSERT ON tenant FROM kibali_api")
    op.drop_column("api_token", "scopes")
    for column in ("last_login_at", "password_changed_at", "must_change_password"):
        op.drop_column("admin", column)
    op.drop_column("tenant", "closed_at")
    op.execute("GRANT SELECT ON admin TO kibali_api, kibali_worker, kibali_platform")
    op.execute("GRANT SELECT, INSERT, UPDATE ON api_token TO kibali_api")
    op.execute("GRANT SELECT ON api_token TO kibali_platform")
    before = re.search(
        r"CREATE FUNCTION authenticate_token.*?TO kibali_api;", (SQL / "0001_security.sql").read_text(), re.DOTALL
    )
    assert before is not None
    op.execute(before[0])
