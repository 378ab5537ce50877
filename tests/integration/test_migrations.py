"""The schema: migrations go up, down and up again, make what the models say, and refuse what makes no sense."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from db import partitions, prepare
from db.models import Base
from settings import Settings


@pytest.fixture
def owner(settings: Settings) -> Iterator[Connection]:
    engine = create_engine(make_url(settings.database_dsn("owner")).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def differences(connection: Connection) -> list[Any]:
    """What alembic would have to do to make the database as the models say."""

    def is_modelled(_object: object, name: str | None, type_: str, _reflected: bool, _other: object) -> bool:
        return type_ != "table" or name in Base.metadata.tables

    options = {"include_object": is_modelled, "compare_type": True, "compare_server_default": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
    return found


def tables(connection: Connection) -> set[str]:
    statement = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return set(connection.scalars(statement))


def functions(connection: Connection) -> set[str]:
    return set(connection.scalars(text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")))


def checks(connection: Connection) -> dict[str, str]:
    statement = text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND coninhcount = 0"
    )
    return {row.conname: row.pg_get_constraintdef for row in connection.execute(statement)}


def test_the_migrated_schema_is_what_the_models_say(owner: Connection) -> None:
    assert differences(owner) == []


def test_the_migrated_checks_are_those_of_the_models(owner: Connection) -> None:
    """Alembic compares everything but these."""
    migrated = checks(owner)
    owner.execute(text("CREATE SCHEMA from_models"))
    owner.execute(text("SET LOCAL search_path = from_models, public"))
    Base.metadata.create_all(owner.execution_options(schema_translate_map={None: "from_models"}), checkfirst=False)
    statement = text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype = 'c' AND connamespace = 'from_models'::regnamespace"
    )
    modelled = {row.conname: row.pg_get_constraintdef for row in owner.execute(statement)}
    owner.execute(text("DROP SCHEMA from_models CASCADE"))
    assert migrated == modelled


def test_down_leaves_nothing_and_up_again_makes_the_same(owner: Connection) -> None:
    before = tables(owner), functions(owner), checks(owner)
    prepare.downgrade(owner, "base")
    assert tables(owner) == {"alembic_version"}
    assert functions(owner) == set()
    prepare.upgrade(owner)
    partitions.create_coming(owner, datetime.now(UTC))
    assert (tables(owner), functions(owner), checks(owner)) == before
    assert differences(owner) == []


def test_preparing_again_changes_nothing(settings: Settings, owner: Connection) -> None:
    before = tables(owner)
    owner.rollback()
    prepare.prepare(settings)
    assert tables(owner) == before
    assert owner.scalar(text("SELECT version_num FROM alembic_version")) == prepare.newest_revision()


TENANT = {"slug": "acme", "name": "Acme", "language": "en", "timezone": "Africa/Nairobi"}
ADMIN = {"tenant_id": 1, "email": "a@b.c", "password_hash": "!", "role": "owner"}
PLAN = {
    "tenant_id": 1,
    "name": "Gold",
    "price_kes": 500,
    "upload_kbps": 2000,
    "download_kbps": 8000,
    "validity_unit": "days",
    "validity_count": 30,
}
SUBSCRIBER = {"tenant_id": 1, "name": "Jane"}
ROUTER = {"tenant_id": 1, "name": "Roof", "nas_address": "192.0.2.1", "radius_secret_sealed": b"x"}
SUBSCRIPTION = {
    "tenant_id": 1,
    "subscriber_id": 1,
    "plan_id": 1,
    "service": "hotspot",
    "username": "jane",
    "password_sealed": b"x",
}
USAGE = {"subscription_id": 1, "tenant_id": 1}
SESSION = {
    "session_key": "00000000-0000-0000-0000-000000000001",
    "tenant_id": 1,
    "router_id": 1,
    "service": "hotspot",
    "username": "jane",
    "acct_session_id": "80000001",
    "interim_interval_s": 300,
    "started_at": "2026-01-01T00:00Z",
    "last_seen_at": "2026-01-01T00:00Z",
}
DAY = {"subscription_id": 1, "day": "2026-01-01", "tenant_id": 1}
JOB = {"queue": "default", "task": "x", "max_attempts": 3}
AUTH_LOG = {
    "logged_at": "2026-01-01T00:00Z",
    "tenant_id": 1,
    "router_id": 1,
    "username": "jane",
    "service": "hotspot",
    "result": "accept",
    "reason": "ok",
}
PAYMENT_ACCOUNT = {
    "tenant_id": 1,
    "kind": "paybill",
    "name": "Main",
    "shortcode": "174379",
    "credentials_sealed": b"x",
    "c2b_token_hash": b"x",
    "c2b_token_sealed": b"x",
}
PAYMENT_INTENT = {
    "tenant_id": 1,
    "payment_account_id": 1,
    "plan_id": 1,
    "msisdn": "254712345678",
    "amount_kes": 500,
    "price_kes": 500,
    "account_reference": "KB7X2Q9MNP",
}
PAYMENT = {
    "tenant_id": 1,
    "provider": "daraja",
    "receipt": "SKL1",
    "amount_kes": 500,
    "paid_at": "2026-01-01T00:00Z",
    "received_at": "2026-01-01T00:00Z",
}
POSTING = {"tenant_id": 1, "kind": "payment", "created_at": "2026-01-01T00:00Z"}
ENTRY = {"tenant_id": 1, "posting_id": 1, "account": "mpesa", "amount_kes": 1}
WALLET = {"tenant_id": 1, "subscriber_id": 1}
RENEWAL = {
    "tenant_id": 1,
    "subscription_id": 1,
    "plan_id": 1,
    "price_kes": 500,
    "automatic": True,
    "began_at": "2026-01-01T00:00Z",
    "old_expires_at": "2026-01-01T00:00Z",
    "created_at": "2026-01-01T00:00Z",
}
WEBHOOK = {
    "tenant_id": 1,
    "kind": "c2b_confirmation",
    "payment_account_id": 1,
    "source_listed": True,
    "body": b"{}",
}
VOUCHER_BATCH = {"tenant_id": 1, "plan_id": 1, "count": 10, "code_length": 10}
VOUCHER = {"tenant_id": 1, "batch_id": 1, "code_hash": b"x", "code_sealed": b"x"}
IDEMPOTENCY_KEY = {
    "tenant_id": 1,
    "admin_id": 1,
    "key": "x",
    "request_digest": b"x",
    "created_at": "2026-01-01T00:00Z",
}
TUNNEL = {"tenant_id": 1, "router_id": 2, "kind": "sstp", "address": "10.254.0.2", "secret_sealed": b"x"}
ENDPOINT = {
    "tenant_id": 1,
    "name": "Books",
    "url": "https://example.net/",
    "types": ["payment.*"],
    "secret_sealed": b"x",
    "after_event_id": 0,
}
DELIVERY = {"tenant_id": 1, "endpoint_id": 1, "event_id": 2, "type": "payment.failed", "body": "{}"}
BURST = {
    "burst_upload_kbps": 4000,
    "burst_download_kbps": 16000,
    "burst_threshold_upload_kbps": 1000,
    "burst_threshold_download_kbps": 4000,
    "burst_time_s": 8,
}

SESSION_HELD = {
    "tenant_id": 1,
    "session_key": "00000000-0000-0000-0000-000000000001",
    "router_id": 1,
    "began_at": "2026-01-01T00:00Z",
    "known_from": "login",
}
SESSION_INTENT = {
    "tenant_id": 1,
    "session_key": "00000000-0000-0000-0000-000000000002",
    "router_id": 1,
    "cause": "suspended",
    "action": "disconnect",
    "reason": "suspended",
}

SERVICE_CONFIG = {"tenant_id": 1, "router_id": 1, "version": 2}
DEPLOYMENT = {"tenant_id": 1, "router_id": 1, "kind": "deploy", "service_config_id": 1}
DEPLOYMENT_STEP = {
    "tenant_id": 1,
    "deployment_id": 1,
    "number": 2,
    "menu": "/ip pool",
    "action": "add",
    "values_sealed": b"x",
}
SMS_MESSAGE = {"tenant_id": 1, "kind": "test", "msisdn": "254700000001", "body_sealed": b"x", "state": "kept"}

GOOD: dict[str, Mapping[str, Any]] = {
    "sms_gateway": {"tenant_id": 1, "provider": "outbox"},
    "sms_message": SMS_MESSAGE,
    "tenant": TENANT,
    "admin": ADMIN,
    "plan": PLAN,
    "subscriber": SUBSCRIBER,
    "router": ROUTER,
    "router_service_config": SERVICE_CONFIG,
    "router_deployment": DEPLOYMENT,
    "router_deployment_step": DEPLOYMENT_STEP,
    "ip_pool": {"tenant_id": 1, "router_id": 1, "name": "p", "ranges": "10.0.0.1", "addresses": 1},
    "router_import": {"tenant_id": 1, "router_id": 1, "dry_run": True},
    "router_import_row": {"tenant_id": 1, "import_id": 1, "kind": "ppp", "name": "ann", "outcome": "new"},
    "subscription": SUBSCRIPTION,
    "usage": USAGE,
    "webhook_endpoint": ENDPOINT,
    "webhook_delivery": DELIVERY,
    "session": SESSION,
    "usage_day": DAY,
    "job": JOB,
    "auth_log": AUTH_LOG,
    "payment_account": PAYMENT_ACCOUNT,
    "payment_intent": PAYMENT_INTENT,
    "payment": PAYMENT,
    "wallet": WALLET,
    "renewal": RENEWAL,
    "webhook_inbox": WEBHOOK,
    "voucher_batch": VOUCHER_BATCH,
    "voucher": VOUCHER,
    "idempotency_key": IDEMPOTENCY_KEY,
    "subscriber_import": {"tenant_id": 1, "format": "csv", "dry_run": False},
    "router_tunnel": {**TUNNEL, "router_id": 1},
    "tunnel_hub": {"id": 1, "public_key": "x", "private_key_sealed": b"x"},
    "session_held": SESSION_HELD,
    "session_intent": SESSION_INTENT,
}

# The constraint, and a row that is good but for it.
BAD: list[tuple[str, str, Mapping[str, Any]]] = [
    ("tenant_slug_check", "tenant", {"slug": "Acme"}),
    ("tenant_slug_check", "tenant", {"slug": "-a"}),
    ("tenant_slug_check", "tenant", {"slug": "a" * 64}),
    ("tenant_slug_key", "tenant", {"slug": "first"}),
    ("tenant_language_check", "tenant", {"language": "fr"}),
    ("admin_email_check", "admin", {"email": "A@b.c"}),
    ("admin_email_check", "admin", {"email": "ab.c"}),
    ("admin_email_key", "admin", {"email": "first@acme.example"}),
    ("admin_role_check", "admin", {"role": "root"}),
    ("admin_platform_has_no_tenant_check", "admin", {"role": "platform"}),
    ("admin_platform_has_no_tenant_check", "admin", {"tenant_id": None}),
    ("plan_tenant_id_name_key", "plan", {"name": "FIRST"}),
    ("plan_name_check", "plan", {"name": ""}),
    ("plan_name_check", "plan", {"name": "x" * 101}),
    ("plan_service_check", "plan", {"service": "ppp"}),
    ("plan_price_check", "plan", {"price_kes": -1}),
    ("plan_speed_check", "plan", {"upload_kbps": 0}),
    ("plan_speed_check", "plan", {"download_kbps": -1}),
    ("plan_burst_is_whole_check", "plan", {"burst_time_s": 8}),
    ("plan_burst_is_whole_check", "plan", {**BURST, "burst_time_s": None}),
    ("plan_burst_speed_check", "plan", {**BURST, "burst_upload_kbps": 1999}),
    ("plan_burst_speed_check", "plan", {**BURST, "burst_download_kbps": 7999}),
    ("plan_burst_time_check", "plan", {**BURST, "burst_time_s": 0}),
    ("plan_priority_check", "plan", {"priority": 0}),
    ("plan_priority_check", "plan", {"priority": 9}),
    ("plan_minimum_is_whole_check", "plan", {"min_upload_kbps": 1}),
    ("plan_minimum_speed_check", "plan", {"min_upload_kbps": 2001, "min_download_kbps": 1}),
    ("plan_minimum_speed_check", "plan", {"min_upload_kbps": 1, "min_download_kbps": 8001}),
    ("plan_validity_unit_check", "plan", {"validity_unit": "weeks"}),
    ("plan_validity_count_with_unit_check", "plan", {"validity_count": None}),
    ("plan_validity_count_with_unit_check", "plan", {"validity_unit": "unlimited"}),
    ("plan_validity_count_check", "plan", {"validity_count": 0}),
    ("plan_validity_count_check", "plan", {"validity_count": 100_001}),
    ("plan_validity_months_check", "plan", {"validity_unit": "months", "validity_count": 1201}),
    ("plan_validity_from_check", "plan", {"validity_from": "birth"}),
    ("plan_grace_check", "plan", {"grace_hours": -1}),
    ("plan_grace_check", "plan", {"grace_hours": 8761}),
    ("plan_devices_check", "plan", {"devices": 0}),
    ("plan_on_device_limit_check", "plan", {"on_device_limit": "allow"}),
    ("plan_time_limit_check", "plan", {"time_limit_s": 0}),
    ("plan_data_limit_check", "plan", {"data_limit_bytes": 0}),
    ("plan_upload_limit_check", "plan", {"upload_limit_bytes": 0}),
    ("plan_download_limit_check", "plan", {"download_limit_bytes": 0}),
    ("plan_limit_period_check", "plan", {"limit_period": "year"}),
    ("plan_limit_reset_day_check", "plan", {"limit_reset_day": 0}),
    ("plan_limit_reset_day_check", "plan", {"limit_reset_day": 32}),
    ("plan_limit_reset_weekday_check", "plan", {"limit_period": "week", "limit_reset_day": 8}),
    ("plan_after_limit_check", "plan", {"after_limit": "pay"}),
    ("plan_fair_use_with_throttle_check", "plan", {"after_limit": "throttle"}),
    ("plan_fair_use_with_throttle_check", "plan", {"fair_use_upload_kbps": 1, "fair_use_download_kbps": 1}),
    ("plan_fair_use_with_throttle_check", "plan", {"after_limit": "throttle", "fair_use_upload_kbps": 1}),
    (
        "plan_fair_use_speed_check",
        "plan",
        {"after_limit": "throttle", "fair_use_upload_kbps": 0, "fair_use_download_kbps": 1},
    ),
    ("plan_boost_is_whole_check", "plan", {"boost_from": "18:00"}),
    (
        "plan_boost_times_check",
        "plan",
        {"boost_from": "18:00", "boost_until": "18:00", "boost_upload_kbps": 1, "boost_download_kbps": 1},
    ),
    (
        "plan_boost_speed_check",
        "plan",
        {"boost_from": "18:00", "boost_until": "6:00", "boost_upload_kbps": 0, "boost_download_kbps": 1},
    ),
    ("plan_idle_timeout_check", "plan", {"idle_timeout_s": 0}),
    ("plan_interim_interval_check", "plan", {"interim_interval_s": 59}),
    ("plan_interim_interval_check", "plan", {"interim_interval_s": 3601}),
    ("plan_on_expiry_check", "plan", {"on_expiry": "smile"}),
    ("plan_walled_garden_check", "plan", {"on_expiry": "walled_garden"}),
    ("plan_walled_garden_check", "plan", {"walled_garden_address_list": "unpaid"}),
    ("subscriber_name_check", "subscriber", {"name": ""}),
    ("subscriber_msisdn_check", "subscriber", {"msisdn": "0712345678"}),
    ("subscriber_msisdn_check", "subscriber", {"msisdn": "+254712345678"}),
    ("subscriber_tenant_id_msisdn_key", "subscriber", {"msisdn": "254700000001"}),
    ("router_name_check", "router", {"name": ""}),
    ("router_tenant_id_name_key", "router", {"name": "FIRST"}),
    ("router_nas_address_check", "router", {"nas_address": "192.0.2.0/24"}),
    ("router_nas_address_check", "router", {"nas_address": "2001:db8::/64"}),
    ("router_nas_address_key", "router", {"tenant_id": 2, "nas_address": "198.51.100.1"}),
    ("router_coa_port_check", "router", {"coa_port": 0}),
    ("router_coa_port_check", "router", {"coa_port": 65536}),
    ("router_message_authenticator_check", "router", {"require_message_authenticator": "maybe"}),
    ("router_status_check", "router", {"status": "asleep"}),
    ("router_service_config_version_check", "router_service_config", {"version": 0}),
    ("router_service_config_router_id_version_key", "router_service_config", {"version": 1}),
    ("router_service_config_tenant_id_router_id_fkey", "router_service_config", {"router_id": 2}),
    ("router_deployment_kind_check", "router_deployment", {"kind": "guess", "service_config_id": None}),
    ("router_deployment_state_check", "router_deployment", {"state": "sleeping"}),
    ("router_deployment_percent_check", "router_deployment", {"percent": 101}),
    ("router_deployment_service_config_id_check", "router_deployment", {"service_config_id": None}),
    ("router_deployment_undoes_id_check", "router_deployment", {"undoes_id": 1}),
    ("router_deployment_undoes_id_check", "router_deployment", {"kind": "undo", "service_config_id": None}),
    ("router_deployment_tenant_id_router_id_fkey", "router_deployment", {"router_id": 2}),
    ("router_deployment_step_action_check", "router_deployment_step", {"action": "guess"}),
    ("router_deployment_step_state_check", "router_deployment_step", {"state": "guessed"}),
    ("ip_pool_addresses_check", "ip_pool", {"addresses": 0}),
    ("ip_pool_tenant_id_router_id_fkey", "ip_pool", {"router_id": 2}),
    ("router_import_state_check", "router_import", {"state": "guessed"}),
    ("router_import_tenant_id_router_id_fkey", "router_import", {"router_id": 2}),
    ("router_import_row_outcome_check", "router_import_row", {"outcome": "guessed"}),
    ("router_deployment_step_deployment_id_number_key", "router_deployment_step", {"number": 1}),
    ("router_api_address_check", "router", {"api_address": "192.0.2.0/24"}),
    ("router_api_ports_check", "router", {"api_port": 0}),
    ("router_api_ports_check", "router", {"api_ssl_port": 65536}),
    ("router_api_username_check", "router", {"api_username": ""}),
    ("router_api_plain_check", "router", {"api_plain": "maybe"}),
    ("router_api_certificates_check", "router", {"api_certificate_sha256": "AB" * 32}),
    ("router_api_certificates_check", "router", {"api_certificate_offered_sha256": "ab"}),
    ("router_tunnel_kind_check", "router_tunnel", {"kind": "pptp"}),
    ("router_tunnel_address_check", "router_tunnel", {"address": "10.254.0.0/24"}),
    ("router_tunnel_address_check", "router_tunnel", {"address": "2001:db8::1"}),
    ("router_tunnel_address_key", "router_tunnel", {"address": "10.254.0.9"}),
    ("router_tunnel_tenant_id_router_id_fkey", "router_tunnel", {"tenant_id": 2, "address": "10.254.0.3"}),
    ("tunnel_hub_one_check", "tunnel_hub", {"id": 2}),
    ("subscription_service_check", "subscription", {"service": "any"}),
    ("subscription_username_check", "subscription", {"username": ""}),
    ("subscription_username_check", "subscription", {"username": "a\tb"}),
    ("subscription_username_check", "subscription", {"username": "x" * 65}),
    ("subscription_status_check", "subscription", {"status": "expired"}),
    ("subscription_framed_ip_address_check", "subscription", {"framed_ip_address": "10.0.0.0/24"}),
    ("subscription_framed_ip_address_check", "subscription", {"framed_ip_address": "2001:db8::1"}),
    ("subscription_delegated_ipv6_prefix_check", "subscription", {"delegated_ipv6_prefix": "10.0.0.0/8"}),
    ("subscription_tenant_id_username_key", "subscription", {"username": "FIRST"}),
    ("subscription_tenant_id_framed_ip_address_key", "subscription", {"framed_ip_address": "10.0.0.1"}),
    ("subscription_tenant_id_delegated_ipv6_prefix_key", "subscription", {"delegated_ipv6_prefix": "2001:db8::/56"}),
    ("subscription_tenant_id_plan_id_fkey", "subscription", {"tenant_id": 2, "subscriber_id": 2}),
    ("subscription_tenant_id_subscriber_id_fkey", "subscription", {"tenant_id": 2, "plan_id": 2}),
    ("device_pkey", "device", {"tenant_id": 1, "mac": "02:00:00:00:00:01", "subscription_id": 1}),
    (
        "device_tenant_id_subscription_id_fkey",
        "device",
        {"tenant_id": 2, "mac": "02:00:00:00:00:01", "subscription_id": 1},
    ),
    (
        "subscription_router_pkey",
        "subscription_router",
        {"tenant_id": 1, "subscription_id": 1, "router_id": 1},
    ),
    (
        "subscription_router_tenant_id_router_id_fkey",
        "subscription_router",
        {"tenant_id": 1, "subscription_id": 1, "router_id": 2},
    ),
    (
        "subscription_router_tenant_id_subscription_id_fkey",
        "subscription_router",
        {"tenant_id": 2, "subscription_id": 1, "router_id": 2},
    ),
    ("usage_counters_check", "usage", {"input_octets": -1}),
    ("session_counters_check", "session", {"output_octets": -1}),
    ("usage_day_counters_check", "usage_day", {"session_time_s": -1}),
    ("auth_log_result_check", "auth_log", {"result": "perhaps"}),
    ("job_state_check", "job", {"state": "lost"}),
    ("job_attempts_check", "job", {"attempts": 4}),
    ("job_progress_check", "job", {"progress": 101}),
    ("job_claim_check", "job", {"state": "running"}),
    ("job_finished_check", "job", {"state": "failed"}),
    ("payment_account_provider_check", "payment_account", {"provider": "cash"}),
    ("payment_account_kind_check", "payment_account", {"kind": "bank"}),
    ("payment_account_till_number_of_a_till_check", "payment_account", {"kind": "till"}),
    ("payment_account_till_number_of_a_till_check", "payment_account", {"till_number": "12345"}),
    ("payment_account_shortcode_check", "payment_account", {"shortcode": "17437x"}),
    ("payment_account_till_number_check", "payment_account", {"kind": "till", "till_number": "1"}),
    ("payment_account_name_check", "payment_account", {"name": ""}),
    ("payment_account_local_url_check", "payment_account", {"local_url": "http://192.0.2.1:80"}),
    ("payment_account_confirm_above_check", "payment_account", {"confirm_above_kes": -1}),
    ("payment_account_tenant_id_name_key", "payment_account", {"name": "FIRST"}),
    ("payment_intent_state_check", "payment_intent", {"state": "lost"}),
    ("payment_intent_amount_check", "payment_intent", {"amount_kes": 0}),
    ("payment_intent_amount_check", "payment_intent", {"amount_kes": 1.5}),
    ("payment_intent_amount_check", "payment_intent", {"amount_kes": 250_001}),
    ("payment_intent_price_check", "payment_intent", {"price_kes": -1}),
    ("payment_intent_msisdn_check", "payment_intent", {"msisdn": "0712345678"}),
    ("payment_intent_account_reference_check", "payment_intent", {"account_reference": "longer than 12"}),
    ("payment_intent_prompted_check", "payment_intent", {"state": "prompted"}),
    ("payment_intent_queries_check", "payment_intent", {"queries": -1}),
    ("payment_intent_open_key", "payment_intent", {"msisdn": "254700000001"}),
    ("payment_provider_check", "payment", {"provider": "bank"}),
    ("payment_state_check", "payment", {"state": "lost", "booked_at": "2026-01-01T00:00Z"}),
    ("payment_amount_check", "payment", {"amount_kes": 0}),
    ("payment_amount_check", "payment", {"amount_kes": -1, "provider": "voucher"}),
    ("payment_receipt_or_intent_check", "payment", {"receipt": None}),
    ("payment_receipt_check", "payment", {"receipt": ""}),
    ("payment_booked_check", "payment", {"state": "reversed"}),
    ("payment_applied_check", "payment", {"state": "applied", "booked_at": "2026-01-01T00:00Z"}),
    ("payment_suspense_check", "payment", {"state": "suspense", "booked_at": "2026-01-01T00:00Z"}),
    ("payment_tenant_id_provider_receipt_key", "payment", {"receipt": "FIRST"}),
    ("payment_provisional_key", "payment", {"receipt": None, "intent_id": 1}),
    ("payment_tenant_id_intent_id_fkey", "payment", {"tenant_id": 2, "intent_id": 1}),
    ("payment_tenant_id_subscription_id_fkey", "payment", {"tenant_id": 2, "subscription_id": 1}),
    ("ledger_posting_kind_check", "ledger_posting", {**POSTING, "kind": "gift"}),
    ("ledger_entry_account_check", "ledger_entry", {**ENTRY, "account": "pocket"}),
    ("ledger_entry_wallet_of_a_subscriber_check", "ledger_entry", {**ENTRY, "account": "wallet"}),
    ("ledger_entry_wallet_of_a_subscriber_check", "ledger_entry", {**ENTRY, "subscriber_id": 1}),
    ("ledger_entry_amount_check", "ledger_entry", {**ENTRY, "amount_kes": 0}),
    ("ledger_entry_balance", "ledger_entry", ENTRY),
    ("wallet_balance_check", "wallet", {"balance_kes": -1}),
    ("wallet_tenant_id_subscriber_id_fkey", "wallet", {"tenant_id": 2}),
    ("renewal_price_check", "renewal", {"price_kes": -1}),
    ("renewal_once_per_expiry_key", "renewal", {"old_expires_at": "2025-12-31T00:00Z"}),
    ("session_held_known_from_check", "session_held", {"known_from": "hearsay"}),
    ("session_held_listed_check", "session_held", {"listed": "unpaid"}),
    ("webhook_endpoint_name_check", "webhook_endpoint", {"name": ""}),
    ("webhook_endpoint_tenant_id_name_key", "webhook_endpoint", {"name": "first"}),
    ("webhook_endpoint_url_check", "webhook_endpoint", {"url": "ftp://example.net/"}),
    ("webhook_endpoint_types_check", "webhook_endpoint", {"types": []}),
    ("webhook_endpoint_types_check", "webhook_endpoint", {"types": ["a.b"] * 51}),
    ("webhook_delivery_state_check", "webhook_delivery", {"state": "lost"}),
    ("webhook_delivery_endpoint_id_event_id_key", "webhook_delivery", {"event_id": 1}),
    ("webhook_delivery_tenant_id_endpoint_id_fkey", "webhook_delivery", {"tenant_id": 2}),
    ("event_count_one_row_check", "event_count", {"id": 2, "after_event_id": 0}),
    ("session_intent_action_check", "session_intent", {"action": "wait"}),
    ("session_intent_way_check", "session_intent", {"way": "telnet"}),
    ("session_intent_state_check", "session_intent", {"state": "lost"}),
    ("session_intent_finished_check", "session_intent", {"state": "done"}),
    ("session_intent_finished_check", "session_intent", {"due_at": None}),
    (
        "session_intent_session_key_key",
        "session_intent",
        {"session_key": "00000000-0000-0000-0000-000000000009"},
    ),
    (
        "session_intent_kick_key",
        "session_intent",
        {"session_key": "00000000-0000-0000-0000-000000000009", "cause": "kick"},
    ),
    ("webhook_inbox_kind_check", "webhook_inbox", {"kind": "sms"}),
    ("webhook_inbox_intent_of_stk_check", "webhook_inbox", {"kind": "stk"}),
    ("webhook_inbox_body_check", "webhook_inbox", {"body": b"x" * 65_537}),
    ("webhook_inbox_outcome_check", "webhook_inbox", {"outcome": "applied"}),
    ("voucher_batch_count_check", "voucher_batch", {"count": 0}),
    ("voucher_batch_code_length_check", "voucher_batch", {"code_length": 7}),
    ("voucher_batch_expires_at_check", "voucher_batch", {"expires_at": "2025-01-01T00:00Z"}),
    ("voucher_state_check", "voucher", {"state": "lost"}),
    ("voucher_payment_of_a_redeemed_check", "voucher", {"payment_id": 1}),
    ("voucher_redeemed_check", "voucher", {"redeemed_at": "2026-01-01T00:00Z"}),
    ("voucher_tenant_id_code_hash_key", "voucher", {"code_hash": b"first"}),
    ("idempotency_key_key_check", "idempotency_key", {"key": ""}),
    ("sms_gateway_provider_check", "sms_gateway", {"provider": "pigeon", "username": "x", "api_key_sealed": b"x"}),
    ("sms_gateway_complete_check", "sms_gateway", {"provider": "africastalking"}),
    ("sms_message_kind_check", "sms_message", {"kind": "advertisement"}),
    ("sms_message_state_check", "sms_message", {"state": "lost"}),
    ("sms_message_sent_check", "sms_message", {"state": "sent"}),
    ("idempotency_key_key_check", "idempotency_key", {"key": "x" * 256}),
    ("subscriber_import_format_check", "subscriber_import", {"format": "xls"}),
    (
        "event_ticket_credential_check",
        "event_ticket",
        {"ticket_hash": b"x", "tenant_id": 1, "admin_id": 1, "expires_at": "2026-01-01T00:00Z"},
    ),
]


@pytest.fixture(scope="module")
def furnished(postgres_server: Settings, template_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A database with one row of each kind in tenant 1, a plan and a subscriber in tenant 2, seen as the superuser."""
    name = "constraints"
    with psycopg.connect(postgres_server.database_admin_dsn(), autocommit=True) as superuser:
        superuser.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template_database))
        )
    with psycopg.connect(postgres_server.database_admin_dsn(name), autocommit=True) as connection:
        insert(connection, "tenant", {**TENANT, "slug": "first"})
        insert(connection, "tenant", {**TENANT, "slug": "second"})
        insert(connection, "admin", {**ADMIN, "email": "first@acme.example"})
        insert(connection, "plan", {**PLAN, "name": "first"})
        insert(connection, "plan", {**PLAN, "tenant_id": 2})
        insert(connection, "subscriber", {**SUBSCRIBER, "msisdn": "254700000001"})
        insert(connection, "subscriber", {**SUBSCRIBER, "tenant_id": 2})
        insert(connection, "router", {**ROUTER, "name": "first", "nas_address": "198.51.100.1"})
        insert(connection, "router", {**ROUTER, "tenant_id": 2, "nas_address": "198.51.100.2"})
        insert(connection, "router_tunnel", {**TUNNEL, "tenant_id": 2, "address": "10.254.0.9"})
        first = {"username": "first", "framed_ip_address": "10.0.0.1", "delegated_ipv6_prefix": "2001:db8::/56"}
        insert(connection, "subscription", {**SUBSCRIPTION, **first})
        insert(connection, "device", {"tenant_id": 1, "mac": "02:00:00:00:00:01", "subscription_id": 1})
        insert(connection, "subscription_router", {"tenant_id": 1, "subscription_id": 1, "router_id": 1})
        insert(connection, "router_service_config", {**SERVICE_CONFIG, "version": 1})
        insert(connection, "router_deployment", {**DEPLOYMENT, "state": "completed"})
        insert(connection, "router_deployment_step", {**DEPLOYMENT_STEP, "number": 1})
        insert(connection, "router_import", {"tenant_id": 1, "router_id": 1, "dry_run": True})
        insert(connection, "payment_account", {**PAYMENT_ACCOUNT, "name": "first", "c2b_token_hash": b"first"})
        intent = {"msisdn": "254700000001", "account_reference": "FIRST2"}
        insert(connection, "payment_intent", {**PAYMENT_INTENT, **intent})
        insert(connection, "payment", {**PAYMENT, "receipt": "FIRST"})
        insert(connection, "payment", {**PAYMENT, "receipt": None, "intent_id": 1})
        insert(connection, "ledger_posting", POSTING)
        insert(connection, "renewal", {**RENEWAL, "old_expires_at": "2025-12-31T00:00Z"})
        insert(connection, "webhook_endpoint", {**ENDPOINT, "name": "first"})
        insert(connection, "webhook_delivery", {**DELIVERY, "event_id": 1})
        insert(connection, "voucher_batch", VOUCHER_BATCH)
        insert(connection, "voucher", {**VOUCHER, "code_hash": b"first"})
        for cause in ("suspended", "kick"):
            known = {"session_key": "00000000-0000-0000-0000-000000000009", "cause": cause}
            insert(connection, "session_intent", {**SESSION_INTENT, **known})
        yield connection
    with psycopg.connect(postgres_server.database_admin_dsn(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def insert(connection: psycopg.Connection[Any], table: str, row: Mapping[str, Any]) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(sql.Placeholder() for _ in row),
    )
    connection.execute(statement, list(row.values()))


def insert_and_settle(connection: psycopg.Connection[Any], table: str, row: Mapping[str, Any]) -> None:
    """Looks at once at what else is looked at when a transaction ends."""
    insert(connection, table, row)
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")


@pytest.mark.parametrize("table", GOOD)
def test_a_good_row_is_taken(furnished: psycopg.Connection[Any], table: str) -> None:
    with furnished.transaction(force_rollback=True):
        insert(furnished, table, GOOD[table])


@pytest.mark.parametrize(
    ("constraint", "table", "row"), BAD, ids=[f"{name}-{at}" for at, (name, _, _) in enumerate(BAD)]
)
def test_a_bad_row_is_refused_by_the_constraint_that_says_so(
    furnished: psycopg.Connection[Any], constraint: str, table: str, row: Mapping[str, Any]
) -> None:
    with pytest.raises(psycopg.IntegrityError) as caught, furnished.transaction(force_rollback=True):
        insert_and_settle(furnished, table, {**GOOD.get(table, {}), **row})
    assert caught.value.diag.constraint_name == constraint


def test_every_check_of_the_schema_is_tried(furnished: psycopg.Connection[Any]) -> None:
    rows = furnished.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        " AND coninhcount = 0"
    )
    assert {row[0] for row in rows} <= {constraint for constraint, _, _ in BAD}
