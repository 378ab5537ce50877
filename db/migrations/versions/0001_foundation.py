"""Tenants, admins, plans, subscribers, subscriptions, routers, sessions, usage, logs, jobs and events."""

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import CIDR, INET, JSONB, MACADDR

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SQL = Path(__file__).resolve().parent.parent / "sql"


def upgrade() -> None:
    op.execute((SQL / "0001_roles.sql").read_text())
    create_tables()
    op.execute((SQL / "0001_partitions.sql").read_text())
    op.execute((SQL / "0001_security.sql").read_text())


def downgrade() -> None:
    for table in (
        "event",
        "job",
        "auth_log",
        "usage_day",
        "usage",
        "session_history",
        "session",
        "subscription_router",
        "device",
        "subscription",
    ):
        op.drop_table(table)
    for table in ("router", "subscriber", "plan", "api_token", "admin", "tenant"):
        op.drop_table(table)
    for function in (
        "notify_event()",
        "authenticate_token(bytea)",
        "drop_month_partitions(text, date)",
        "create_month_partition(text, date)",
        "current_tenant_id()",
    ):
        op.execute(f"DROP FUNCTION {function}")


def create_tables() -> None:
    op.create_table(
        "auth_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("username_lower", sa.Text(), sa.Computed("lower(username)", persisted=True), nullable=False),
        sa.Column("calling_station_id", MACADDR(), nullable=True),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint("result IN ('accept', 'reject')", name=op.f("auth_log_result_check")),
        sa.PrimaryKeyConstraint("logged_at", "id", name=op.f("auth_log_pkey")),
        postgresql_partition_by="RANGE (logged_at)",
    )
    op.create_index(
        "auth_log_subscription_id_logged_at_idx", "auth_log", ["subscription_id", "logged_at"], unique=False
    )
    op.create_index("auth_log_tenant_id_logged_at_idx", "auth_log", ["tenant_id", "logged_at"], unique=False)
    op.create_index(
        "auth_log_tenant_id_calling_station_id_logged_at_idx",
        "auth_log",
        ["tenant_id", "calling_station_id", "logged_at"],
        unique=False,
    )
    op.create_index(
        "auth_log_tenant_id_username_lower_logged_at_idx",
        "auth_log",
        ["tenant_id", "username_lower", "logged_at"],
        unique=False,
        postgresql_where="subscription_id IS NULL",
    )
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("router_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("data", JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", "created_at", name=op.f("event_pkey")),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("event_tenant_id_id_idx", "event", ["tenant_id", "id"], unique=False)
    op.create_index(
        "event_router_id_created_at_idx",
        "event",
        ["router_id", "created_at"],
        unique=False,
        postgresql_where="router_id IS NOT NULL",
    )
    op.create_index(
        "event_subscription_id_created_at_idx",
        "event",
        ["subscription_id", "created_at"],
        unique=False,
        postgresql_where="subscription_id IS NOT NULL",
    )
    op.create_table(
        "session",
        sa.Column("session_key", sa.Uuid(), nullable=False),
        sa.Column("gained_input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gained_output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gained_session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("acct_session_id", sa.Text(), nullable=False),
        sa.Column("radius_class", sa.Text(), nullable=True),
        sa.Column("calling_station_id", MACADDR(), nullable=True),
        sa.Column("called_station_id", sa.Text(), nullable=True),
        sa.Column("nas_ip_address", INET(), nullable=True),
        sa.Column("nas_port", sa.BigInteger(), nullable=True),
        sa.Column("nas_port_id", sa.Text(), nullable=True),
        sa.Column("framed_ip_address", INET(), nullable=True),
        sa.Column("framed_ipv6_prefix", CIDR(), nullable=True),
        sa.Column("delegated_ipv6_prefix", CIDR(), nullable=True),
        sa.Column("interim_interval_s", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stop_received", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("terminate_cause", sa.Text(), nullable=True),
        sa.Column("session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name=op.f("session_counters_check")
        ),
        sa.PrimaryKeyConstraint("session_key", name=op.f("session_pkey")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "session_router_id_nas_port_idx",
        "session",
        ["router_id", "nas_port"],
        unique=False,
        postgresql_where="stopped_at IS NULL",
    )
    op.create_index(
        "session_stopped_at_idx", "session", ["stopped_at"], unique=False, postgresql_where="stopped_at IS NOT NULL"
    )
    op.create_index(
        "session_subscription_id_idx",
        "session",
        ["subscription_id"],
        unique=False,
        postgresql_where="stopped_at IS NULL",
    )
    op.create_index("session_tenant_id_started_at_idx", "session", ["tenant_id", "started_at"], unique=False)
    op.create_table(
        "session_history",
        sa.Column("session_key", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=True),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("acct_session_id", sa.Text(), nullable=False),
        sa.Column("radius_class", sa.Text(), nullable=True),
        sa.Column("calling_station_id", MACADDR(), nullable=True),
        sa.Column("called_station_id", sa.Text(), nullable=True),
        sa.Column("nas_ip_address", INET(), nullable=True),
        sa.Column("nas_port", sa.BigInteger(), nullable=True),
        sa.Column("nas_port_id", sa.Text(), nullable=True),
        sa.Column("framed_ip_address", INET(), nullable=True),
        sa.Column("framed_ipv6_prefix", CIDR(), nullable=True),
        sa.Column("delegated_ipv6_prefix", CIDR(), nullable=True),
        sa.Column("interim_interval_s", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stop_received", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("terminate_cause", sa.Text(), nullable=True),
        sa.Column("session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("session_key", "stopped_at", name=op.f("session_history_pkey")),
        postgresql_partition_by="RANGE (stopped_at)",
    )
    op.create_index(
        "session_history_subscription_id_started_at_idx",
        "session_history",
        ["subscription_id", "started_at"],
        unique=False,
    )
    op.create_index(
        "session_history_tenant_id_started_at_idx", "session_history", ["tenant_id", "started_at"], unique=False
    )
    op.create_index(
        "session_history_tenant_id_stopped_at_idx",
        "session_history",
        ["tenant_id", "stopped_at"],
        unique=False,
        postgresql_where="subscription_id IS NULL",
    )
    op.create_table(
        "tenant",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("language IN ('en', 'sw')", name=op.f("tenant_language_check")),
        sa.CheckConstraint("slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name=op.f("tenant_slug_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("tenant_pkey")),
        sa.UniqueConstraint("slug", name=op.f("tenant_slug_key")),
    )
    op.create_table(
        "usage_day",
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name=op.f("usage_day_counters_check")
        ),
        sa.PrimaryKeyConstraint("subscription_id", "day", name=op.f("usage_day_pkey")),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "admin",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(role = 'platform') = (tenant_id IS NULL)", name=op.f("admin_platform_has_no_tenant_check")
        ),
        sa.CheckConstraint("email = lower(email) AND email LIKE '%_@_%'", name=op.f("admin_email_check")),
        sa.CheckConstraint(
            "role IN ('owner', 'manager', 'cashier', 'support', 'read-only', 'platform')", name=op.f("admin_role_check")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("admin_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("admin_pkey")),
        sa.UniqueConstraint("email", name=op.f("admin_email_key")),
    )
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("args", JSONB(), server_default="{}", nullable=False),
        sa.Column("unique_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("nudged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progress", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (claim IS NOT NULL) AND (state = 'running') = (lease_until IS NOT NULL)",
            name=op.f("job_claim_check"),
        ),
        sa.CheckConstraint(
            "(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name=op.f("job_finished_check"),
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')", name=op.f("job_state_check")
        ),
        sa.CheckConstraint("attempts >= 0 AND attempts <= max_attempts", name=op.f("job_attempts_check")),
        sa.CheckConstraint("progress BETWEEN 0 AND 100", name=op.f("job_progress_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("job_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("job_pkey")),
    )
    op.create_index("job_due_at_idx", "job", ["due_at"], unique=False, postgresql_where="state = 'pending'")
    op.create_index(
        "job_finished_at_idx",
        "job",
        ["finished_at"],
        unique=False,
        postgresql_where="state IN ('succeeded', 'cancelled')",
    )
    op.create_index(
        "job_tenant_id_created_at_idx",
        "job",
        ["tenant_id", "created_at"],
        unique=False,
        postgresql_where="tenant_id IS NOT NULL",
    )
    op.create_index("job_lease_until_idx", "job", ["lease_until"], unique=False, postgresql_where="state = 'running'")
    op.create_index(
        "job_periodic_idx",
        "job",
        ["unique_key", "created_at"],
        unique=False,
        postgresql_where="unique_key LIKE 'periodic:%'",
    )
    op.create_index(
        "job_queue_failed_at_idx", "job", ["queue", "finished_at"], unique=False, postgresql_where="state = 'failed'"
    )
    op.create_index(
        "job_unique_key_key", "job", ["unique_key"], unique=True, postgresql_where="state IN ('pending', 'running')"
    )
    op.create_table(
        "plan",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), server_default="any", nullable=False),
        sa.Column("price_kes", sa.Numeric(precision=12, scale=2), nullable=False),
        sa.Column("upload_kbps", sa.Integer(), nullable=False),
        sa.Column("download_kbps", sa.Integer(), nullable=False),
        sa.Column("burst_upload_kbps", sa.Integer(), nullable=True),
        sa.Column("burst_download_kbps", sa.Integer(), nullable=True),
        sa.Column("burst_threshold_upload_kbps", sa.Integer(), nullable=True),
        sa.Column("burst_threshold_download_kbps", sa.Integer(), nullable=True),
        sa.Column("burst_time_s", sa.Integer(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=True),
        sa.Column("min_upload_kbps", sa.Integer(), nullable=True),
        sa.Column("min_download_kbps", sa.Integer(), nullable=True),
        sa.Column("validity_unit", sa.Text(), nullable=False),
        sa.Column("validity_count", sa.Integer(), nullable=True),
        sa.Column("validity_from", sa.Text(), server_default="purchase", nullable=False),
        sa.Column("grace_hours", sa.Integer(), server_default="0", nullable=False),
        sa.Column("devices", sa.Integer(), server_default="1", nullable=False),
        sa.Column("on_device_limit", sa.Text(), server_default="reject", nullable=False),
        sa.Column("time_limit_s", sa.BigInteger(), nullable=True),
        sa.Column("data_limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("upload_limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("download_limit_bytes", sa.BigInteger(), nullable=True),
        sa.Column("limit_period", sa.Text(), server_default="validity", nullable=False),
        sa.Column("limit_reset_day", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("after_limit", sa.Text(), server_default="stop", nullable=False),
        sa.Column("fair_use_upload_kbps", sa.Integer(), nullable=True),
        sa.Column("fair_use_download_kbps", sa.Integer(), nullable=True),
        sa.Column("boost_from", sa.Time(), nullable=True),
        sa.Column("boost_until", sa.Time(), nullable=True),
        sa.Column("boost_upload_kbps", sa.Integer(), nullable=True),
        sa.Column("boost_download_kbps", sa.Integer(), nullable=True),
        sa.Column("idle_timeout_s", sa.Integer(), nullable=True),
        sa.Column("interim_interval_s", sa.Integer(), server_default="300", nullable=False),
        sa.Column("framed_pool", sa.Text(), nullable=True),
        sa.Column("framed_ipv6_pool", sa.Text(), nullable=True),
        sa.Column("delegated_ipv6_pool", sa.Text(), nullable=True),
        sa.Column("address_list", sa.Text(), nullable=True),
        sa.Column("on_expiry", sa.Text(), server_default="reject", nullable=False),
        sa.Column("walled_garden_address_list", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(after_limit = 'throttle') = (num_nonnulls(fair_use_upload_kbps, fair_use_download_kbps) = 2)"
            " AND num_nonnulls(fair_use_upload_kbps, fair_use_download_kbps) IN (0, 2)",
            name=op.f("plan_fair_use_with_throttle_check"),
        ),
        sa.CheckConstraint(
            "(on_expiry = 'walled_garden') = (walled_garden_address_list IS NOT NULL)",
            name=op.f("plan_walled_garden_check"),
        ),
        sa.CheckConstraint(
            "(validity_unit = 'unlimited') = (validity_count IS NULL)", name=op.f("plan_validity_count_with_unit_check")
        ),
        sa.CheckConstraint("after_limit IN ('stop', 'throttle')", name=op.f("plan_after_limit_check")),
        sa.CheckConstraint(
            "limit_period IN ('validity', 'day', 'week', 'month')", name=op.f("plan_limit_period_check")
        ),
        sa.CheckConstraint("on_device_limit IN ('reject', 'drop_oldest')", name=op.f("plan_on_device_limit_check")),
        sa.CheckConstraint("on_expiry IN ('reject', 'walled_garden')", name=op.f("plan_on_expiry_check")),
        sa.CheckConstraint("service IN ('hotspot', 'pppoe', 'any')", name=op.f("plan_service_check")),
        sa.CheckConstraint("validity_from IN ('purchase', 'first_login')", name=op.f("plan_validity_from_check")),
        sa.CheckConstraint(
            "validity_unit IN ('hours', 'days', 'months', 'unlimited')", name=op.f("plan_validity_unit_check")
        ),
        sa.CheckConstraint("boost_upload_kbps > 0 AND boost_download_kbps > 0", name=op.f("plan_boost_speed_check")),
        sa.CheckConstraint("burst_time_s > 0", name=op.f("plan_burst_time_check")),
        sa.CheckConstraint(
            "burst_upload_kbps >= upload_kbps AND burst_download_kbps >= download_kbps",
            name=op.f("plan_burst_speed_check"),
        ),
        sa.CheckConstraint("data_limit_bytes > 0", name=op.f("plan_data_limit_check")),
        sa.CheckConstraint("devices >= 1", name=op.f("plan_devices_check")),
        sa.CheckConstraint("download_limit_bytes > 0", name=op.f("plan_download_limit_check")),
        sa.CheckConstraint(
            "fair_use_upload_kbps > 0 AND fair_use_download_kbps > 0", name=op.f("plan_fair_use_speed_check")
        ),
        sa.CheckConstraint("grace_hours BETWEEN 0 AND 8760", name=op.f("plan_grace_check")),
        sa.CheckConstraint("idle_timeout_s > 0", name=op.f("plan_idle_timeout_check")),
        sa.CheckConstraint("interim_interval_s BETWEEN 60 AND 3600", name=op.f("plan_interim_interval_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("plan_name_check")),
        sa.CheckConstraint("limit_reset_day BETWEEN 1 AND 31", name=op.f("plan_limit_reset_day_check")),
        sa.CheckConstraint(
            "limit_period <> 'week' OR limit_reset_day <= 7", name=op.f("plan_limit_reset_weekday_check")
        ),
        sa.CheckConstraint(
            "min_upload_kbps <= upload_kbps AND min_download_kbps <= download_kbps",
            name=op.f("plan_minimum_speed_check"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(boost_from, boost_until, boost_upload_kbps, boost_download_kbps) IN (0, 4)",
            name=op.f("plan_boost_is_whole_check"),
        ),
        sa.CheckConstraint("boost_from <> boost_until", name=op.f("plan_boost_times_check")),
        sa.CheckConstraint(
            "num_nonnulls(burst_upload_kbps, burst_download_kbps, burst_threshold_upload_kbps,"
            " burst_threshold_download_kbps, burst_time_s) IN (0, 5)",
            name=op.f("plan_burst_is_whole_check"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(min_upload_kbps, min_download_kbps) IN (0, 2)", name=op.f("plan_minimum_is_whole_check")
        ),
        sa.CheckConstraint("price_kes >= 0", name=op.f("plan_price_check")),
        sa.CheckConstraint("priority BETWEEN 1 AND 8", name=op.f("plan_priority_check")),
        sa.CheckConstraint("time_limit_s > 0", name=op.f("plan_time_limit_check")),
        sa.CheckConstraint("upload_kbps > 0 AND download_kbps > 0", name=op.f("plan_speed_check")),
        sa.CheckConstraint("upload_limit_bytes > 0", name=op.f("plan_upload_limit_check")),
        sa.CheckConstraint("validity_count BETWEEN 1 AND 100000", name=op.f("plan_validity_count_check")),
        sa.CheckConstraint(
            "validity_unit <> 'months' OR validity_count <= 1200", name=op.f("plan_validity_months_check")
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("plan_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("plan_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("plan_tenant_id_id_key")),
    )
    op.create_index(
        "plan_tenant_id_name_key",
        "plan",
        ["tenant_id", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where="archived_at IS NULL",
    )
    op.create_table(
        "router",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("nas_address", INET(), nullable=False),
        sa.Column("radius_secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("require_message_authenticator", sa.Text(), server_default="auto", nullable=False),
        sa.Column("coa_port", sa.Integer(), server_default="3799", nullable=False),
        sa.Column("swap_octets", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "require_message_authenticator IN ('auto', 'yes', 'no')", name=op.f("router_message_authenticator_check")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'probing', 'online', 'provisioning', 'active',"
            " 'connection_failed', 'failed', 'offline')",
            name=op.f("router_status_check"),
        ),
        sa.CheckConstraint("coa_port BETWEEN 1 AND 65535", name=op.f("router_coa_port_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 100", name=op.f("router_name_check")),
        sa.CheckConstraint(
            "masklen(nas_address) = CASE family(nas_address) WHEN 4 THEN 32 ELSE 128 END",
            name=op.f("router_nas_address_check"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("router_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("router_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("router_tenant_id_id_key")),
    )
    op.create_index(
        "router_nas_address_key", "router", ["nas_address"], unique=True, postgresql_where="removed_at IS NULL"
    )
    op.create_index(
        "router_tenant_id_name_key",
        "router",
        ["tenant_id", sa.literal_column("lower(name)")],
        unique=True,
        postgresql_where="removed_at IS NULL",
    )
    op.create_table(
        "subscriber",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("msisdn", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("msisdn ~ '^[1-9][0-9]{6,14}$'", name=op.f("subscriber_msisdn_check")),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 200", name=op.f("subscriber_name_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("subscriber_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscriber_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("subscriber_tenant_id_id_key")),
    )
    op.create_index(
        "subscriber_tenant_id_msisdn_key",
        "subscriber",
        ["tenant_id", "msisdn"],
        unique=True,
        postgresql_where="archived_at IS NULL",
    )
    op.create_table(
        "api_token",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=True),
        sa.Column("admin_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["admin_id"], ["admin.id"], name=op.f("api_token_admin_id_fkey")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("api_token_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("api_token_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("api_token_token_hash_key")),
    )
    op.create_index(op.f("api_token_admin_id_idx"), "api_token", ["admin_id"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("framed_ip_address", INET(), nullable=True),
        sa.Column("delegated_ipv6_prefix", CIDR(), nullable=True),
        sa.Column("bind_mac", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("bound_mac", MACADDR(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "length(username) BETWEEN 1 AND 64 AND username !~ '[[:cntrl:]]'", name=op.f("subscription_username_check")
        ),
        sa.CheckConstraint("service IN ('hotspot', 'pppoe')", name=op.f("subscription_service_check")),
        sa.CheckConstraint(
            "status IN ('pending', 'active', 'suspended', 'cancelled')", name=op.f("subscription_status_check")
        ),
        sa.CheckConstraint(
            "delegated_ipv6_prefix IS NULL OR family(delegated_ipv6_prefix) = 6",
            name=op.f("subscription_delegated_ipv6_prefix_check"),
        ),
        sa.CheckConstraint(
            "framed_ip_address IS NULL OR masklen(framed_ip_address) = 32",
            name=op.f("subscription_framed_ip_address_check"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"], name=op.f("subscription_tenant_id_plan_id_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscriber_id"],
            ["subscriber.tenant_id", "subscriber.id"],
            name=op.f("subscription_tenant_id_subscriber_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("subscription_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscription_pkey")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("subscription_tenant_id_id_key")),
    )
    op.create_index(
        "subscription_tenant_id_delegated_ipv6_prefix_key",
        "subscription",
        ["tenant_id", "delegated_ipv6_prefix"],
        unique=True,
        postgresql_where="status <> 'cancelled'",
    )
    op.create_index(
        "subscription_tenant_id_framed_ip_address_key",
        "subscription",
        ["tenant_id", "framed_ip_address"],
        unique=True,
        postgresql_where="status <> 'cancelled'",
    )
    op.create_index("subscription_tenant_id_plan_id_idx", "subscription", ["tenant_id", "plan_id"], unique=False)
    op.create_index(
        "subscription_tenant_id_subscriber_id_idx", "subscription", ["tenant_id", "subscriber_id"], unique=False
    )
    op.create_index(
        "subscription_tenant_id_username_idx", "subscription", ["tenant_id", sa.literal_column("lower(username)")]
    )
    op.create_index(
        "subscription_tenant_id_username_key",
        "subscription",
        ["tenant_id", sa.literal_column("lower(username)")],
        unique=True,
        postgresql_where="status <> 'cancelled'",
    )
    op.create_table(
        "device",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("mac", MACADDR(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("device_tenant_id_subscription_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("device_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "mac", name=op.f("device_pkey")),
    )
    op.create_index("device_tenant_id_subscription_id_idx", "device", ["tenant_id", "subscription_id"], unique=False)
    op.create_table(
        "subscription_router",
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("router_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "router_id"],
            ["router.tenant_id", "router.id"],
            name=op.f("subscription_router_tenant_id_router_id_fkey"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("subscription_router_tenant_id_subscription_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", "router_id", name=op.f("subscription_router_pkey")),
    )
    op.create_table(
        "usage",
        sa.Column("subscription_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant_id", sa.BigInteger(), nullable=False),
        sa.Column("input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("validity_input_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("validity_output_octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("validity_session_time_s", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "input_octets >= 0 AND output_octets >= 0 AND session_time_s >= 0", name=op.f("usage_counters_check")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "subscription_id"],
            ["subscription.tenant_id", "subscription.id"],
            name=op.f("usage_tenant_id_subscription_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subscription_id", name=op.f("usage_pkey")),
        postgresql_with={"fillfactor": 70},
    )
