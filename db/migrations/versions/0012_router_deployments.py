"""Routers: what was found on them, what they are to serve, what was done to them."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.create_table(
        "router_discovery",
        sa.Column("router_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("discovered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("contents", JSONB(), server_default="{}", nullable=False),
        *_of_tenant("router_discovery"),
        _of("router_discovery", "router_id", "router"),
        sa.PrimaryKeyConstraint("router_id", name=op.f("router_discovery_pkey")),
    )
    op.create_table(
        "router_service_config",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config", JSONB(), server_default="{}", nullable=False),
        sa.Column("admin_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("router_service_config_version_check")),
        *_of_tenant("router_service_config"),
        _of("router_service_config", "router_id", "router"),
        sa.PrimaryKeyConstraint("id", name=op.f("router_service_config_pkey")),
        sa.UniqueConstraint("router_id", "version", name=op.f("router_service_config_router_id_version_key")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("router_service_config_tenant_id_id_key")),
    )
    op.create_table(
        "router_deployment",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("service_config_id", sa.BigInteger(), nullable=True),
        sa.Column("undoes_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("percent", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("radius", sa.Text(), nullable=True),
        sa.Column("notes", JSONB(), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('deploy', 'reprovision', 'undo', 'disable-accounts', 'enable-accounts')",
            name=op.f("router_deployment_kind_check"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'retrying', 'completed', 'failed', 'undone')",
            name=op.f("router_deployment_state_check"),
        ),
        sa.CheckConstraint("percent BETWEEN 0 AND 100", name=op.f("router_deployment_percent_check")),
        sa.CheckConstraint(
            "(kind IN ('deploy', 'reprovision')) = (service_config_id IS NOT NULL)",
            name=op.f("router_deployment_service_config_id_check"),
        ),
        sa.CheckConstraint(
            "(kind IN ('undo', 'enable-accounts')) = (undoes_id IS NOT NULL)",
            name=op.f("router_deployment_undoes_id_check"),
        ),
        *_of_tenant("router_deployment"),
        _of("router_deployment", "router_id", "router"),
        _of("router_deployment", "service_config_id", "router_service_config"),
        sa.PrimaryKeyConstraint("id", name=op.f("router_deployment_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("router_deployment_tenant_id_id_key")),
    )
    op.create_foreign_key(
        op.f("router_deployment_tenant_id_undoes_id_fkey"),
        "router_deployment",
        "router_deployment",
        ["tenant_id", "undoes_id"],
        ["tenant_id", "id"],
    )
    op.create_index(
        "router_deployment_open_key",
        "router_deployment",
        ["router_id"],
        unique=True,
        postgresql_where="state IN ('pending', 'running', 'retrying')",
    )
    op.create_index("router_deployment_router_id_id_idx", "router_deployment", ["router_id", "id"], unique=False)
    op.create_table(
        "router_deployment_step",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("deployment_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("menu", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("found_by", JSONB(), server_default="{}", nullable=False),
        sa.Column("item_id", sa.Text(), nullable=True),
        sa.Column("first", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("before", JSONB(), server_default="{}", nullable=False),
        sa.Column("after", JSONB(), server_default="{}", nullable=False),
        sa.Column("values_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), server_default="planned", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("action IN ('add', 'set', 'remove')", name=op.f("router_deployment_step_action_check")),
        sa.CheckConstraint(
            "state IN ('planned', 'sending', 'applied', 'undone', 'kept')",
            name=op.f("router_deployment_step_state_check"),
        ),
        *_of_tenant("router_deployment_step"),
        _of("router_deployment_step", "deployment_id", "router_deployment", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("router_deployment_step_pkey")),
        sa.UniqueConstraint("deployment_id", "number", name=op.f("router_deployment_step_deployment_id_number_key")),
    )
    op.execute((SQL / "0012_deployments.sql").read_text())


def downgrade() -> None:
    for table in ("router_deployment_step", "router_deployment", "router_service_config", "router_discovery"):
        op.drop_table(table)


def _of_tenant(table: str) -> tuple[sa.ForeignKeyConstraint]:
    return (sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f(f"{table}_tenant_id_fkey")),)


def _of(table: str, column: str, other: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{other}.tenant_id", f"{other}.id"],
        name=op.f(f"{table}_tenant_id_{column}_fkey"),
        ondelete=ondelete,
    )
