"""Routers: how to get in by their API, what they are, how they do."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET, JSONB

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"

COLUMNS = (
    sa.Column("status_reason", sa.Text(), nullable=True),
    sa.Column("status_changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    sa.Column("api_address", INET(), nullable=True),
    sa.Column("api_port", sa.Integer(), server_default="8728", nullable=False),
    sa.Column("api_ssl_port", sa.Integer(), server_default="8729", nullable=False),
    sa.Column("api_username", sa.Text(), server_default="kibali", nullable=False),
    sa.Column("api_password_sealed", sa.LargeBinary(), nullable=True),
    sa.Column("api_plain", sa.Text(), server_default="never", nullable=False),
    sa.Column("api_certificate_sha256", sa.Text(), nullable=True),
    sa.Column("api_certificate_offered_sha256", sa.Text(), nullable=True),
    sa.Column("identity", sa.Text(), nullable=True),
    sa.Column("routeros_version", sa.Text(), nullable=True),
    sa.Column("architecture", sa.Text(), nullable=True),
    sa.Column("board", sa.Text(), nullable=True),
    sa.Column("model", sa.Text(), nullable=True),
    sa.Column("serial_number", sa.Text(), nullable=True),
    sa.Column("license_level", sa.Text(), nullable=True),
    sa.Column("device_mode", JSONB(), nullable=True),
)
CHECKS = {
    "api_address": "masklen(api_address) = CASE family(api_address) WHEN 4 THEN 32 ELSE 128 END",
    "api_ports": "api_port BETWEEN 1 AND 65535 AND api_ssl_port BETWEEN 1 AND 65535",
    "api_username": "length(api_username) BETWEEN 1 AND 64",
    "api_plain": "api_plain IN ('never', 'fallback', 'only')",
    "api_certificates": "api_certificate_sha256 ~ '^[0-9a-f]{64}$'"
    " AND api_certificate_offered_sha256 ~ '^[0-9a-f]{64}$'",
}


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("router", column)
    for name, check in CHECKS.items():
        op.create_check_constraint(op.f(f"router_{name}_check"), "router", check)
    op.create_table(
        "router_state",
        sa.Column("router_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("booted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("router_state_tenant_id_router_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("router_state_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("router_id", name=op.f("router_state_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.execute("INSERT INTO router_state (router_id, tenant_id) SELECT id, tenant_id FROM router")
    op.execute((SQL / "0004_security.sql").read_text())


def downgrade() -> None:
    op.execute("GRANT SELECT ON router TO kibali_radius")
    op.drop_table("router_state")
    for name in CHECKS:
        op.drop_constraint(op.f(f"router_{name}_check"), "router")
    for column in reversed(COLUMNS):
        op.drop_column("router", column.name)
