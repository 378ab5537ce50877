"""Tunnels of routers behind carrier NAT, and the hub they dial."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "tunnel_hub",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("private_key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("tunnel_hub_one_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("tunnel_hub_pkey")),
    )
    op.create_table(
        "router_tunnel",
        sa.Column("router_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", INET(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('wireguard', 'sstp', 'l2tp')", name=op.f("router_tunnel_kind_check")),
        sa.CheckConstraint("masklen(address) = 32 AND family(address) = 4", name=op.f("router_tunnel_address_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("router_tunnel_tenant_id_router_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("router_tunnel_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("router_id", name=op.f("router_tunnel_pkey")),
    )
    op.create_index("router_tunnel_address_key", "router_tunnel", ["address"], unique=True)
    op.execute((SQL / "0007_tunnels.sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION free_tunnel_address(cidr)")
    op.drop_table("router_tunnel")
    op.drop_table("tunnel_hub")
