"""What goes in: every form people write becomes one, and what makes no sense is refused with its field."""

from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint

from api.schemas.base import given, partial, rows_as_json, validate
from api.schemas.payment import IntentQuery, PaymentQuery, WalletQuery
from api.schemas.plan import PlanChange, PlanCreate, PlanQuery
from api.schemas.router import RouterChange, RouterCreate, RouterQuery
from api.schemas.session import SessionQuery
from api.schemas.subscriber import SubscriberCreate, SubscriberOut, SubscriberQuery
from api.schemas.subscription import SubscriptionChange, SubscriptionCreate, SubscriptionQuery
from api.schemas.tenant import AdminCreate, TenantCreate
from api.schemas.voucher import BatchQuery
from db import (
    ledger_list,
    payment,
    payment_intent,
    plan,
    refusal,
    router,
    session_list,
    subscriber,
    subscription_list,
    voucher,
)
from db.models import Base
from db.plan import Plan
from db.refusal import Invalid

PLAN = {
    "name": "Gold",
    "price_kes": "500.00",
    "upload_kbps": 2000,
    "download_kbps": 8000,
    "validity_unit": "days",
    "validity_count": 30,
}
ROUTER = {"name": "Nyali", "nas_address": "10.0.0.1"}
SUBSCRIPTION = {"subscriber_id": 1, "plan_id": 1}


@pytest.mark.parametrize(
    ("model", "rest", "field", "written", "stored"),
    [
        (PlanCreate, PLAN, "price_kes", "500", Decimal("500.00")),
        (PlanCreate, PLAN, "price_kes", 500, Decimal("500.00")),
        (PlanCreate, PLAN, "price_kes", Decimal("9.5"), Decimal("9.50")),
        (PlanCreate, PLAN, "price_kes", "0", Decimal("0.00")),
        (PlanCreate, PLAN, "name", "  Gold  ", "Gold"),
        (PlanCreate, PLAN, "boost_from", "18:00", time(18)),
        (PlanCreate, PLAN, "boost_from", "23:59:59", time(23, 59, 59)),
        (RouterCreate, ROUTER, "nas_address", "2001:DB8::0001", "2001:db8::1"),
        (RouterCreate, ROUTER, "nas_address", "::ffff:10.0.0.1", "10.0.0.1"),
        (RouterCreate, ROUTER, "nas_address", " 127.0.0.1 ", "127.0.0.1"),
        (SubscriberCreate, {"name": "Jane"}, "msisdn", "0712 345 678", "254712345678"),
        (SubscriberCreate, {"name": "Jane"}, "email", " Jane@Example.COM ", "jane@example.com"),
        (SubscriberCreate, {"name": "Jane"}, "note", "two\nlines", "two\nlines"),
        (SubscriptionCreate, SUBSCRIPTION, "macs", ["aabb.ccdd.eeff"], ["AA:BB:CC:DD:EE:FF"]),
        (
            SubscriptionCreate,
            SUBSCRIPTION,
            "macs",
            ["AABBCC-DDEEFF", "0c-00-00-00-00-01"],
            ["AA:BB:CC:DD:EE:FF", "0C:00:00:00:00:01"],
        ),
        (SubscriptionCreate, SUBSCRIPTION, "framed_ip_address", "100.64.0.9", "100.64.0.9"),
        (SubscriptionCreate, SUBSCRIPTION, "delegated_ipv6_prefix", "2001:DB8:0:100::/56", "2001:db8:0:100::/56"),
        (SubscriptionCreate, SUBSCRIPTION, "password", " kept as is ", " kept as is "),
        (TenantCreate, {"slug": "a", "name": "A"}, "timezone", "Africa/Nairobi", "Africa/Nairobi"),
    ],
)
def test_what_people_write_becomes_what_is_stored(
    model: type[BaseModel], rest: dict[str, Any], field: str, written: Any, stored: Any
) -> None:
    assert getattr(validate(model, {**rest, field: written}), field) == stored


@pytest.mark.parametrize(
    ("model", "rest", "field", "written"),
    [
        (PlanCreate, PLAN, "name", ""),
        (PlanCreate, PLAN, "name", "   "),
        (PlanCreate, PLAN, "name", "x" * 101),
        (PlanCreate, PLAN, "name", "a\0b"),
        (PlanCreate, PLAN, "name", "a\nb"),
        (PlanCreate, PLAN, "name", "\ud800"),
        (PlanCreate, PLAN, "name", None),
        (PlanCreate, PLAN, "name", 5),
        (PlanCreate, PLAN, "price_kes", "-1"),
        (PlanCreate, PLAN, "price_kes", "1.005"),
        (PlanCreate, PLAN, "price_kes", "1e3"),
        (PlanCreate, PLAN, "price_kes", "NaN"),
        (PlanCreate, PLAN, "price_kes", "12345678901"),
        (PlanCreate, PLAN, "price_kes", True),
        (PlanCreate, PLAN, "price_kes", Decimal("1e999999")),
        (PlanCreate, PLAN, "price_kes", "٥٠٠"),
        (PlanCreate, PLAN, "upload_kbps", 0),
        (PlanCreate, PLAN, "upload_kbps", "2000"),
        (PlanCreate, PLAN, "upload_kbps", True),
        (PlanCreate, PLAN, "upload_kbps", 2000.5),
        (PlanCreate, PLAN, "upload_kbps", 10**40),
        (PlanCreate, PLAN, "data_limit_bytes", 2**63),
        (PlanCreate, PLAN, "priority", 9),
        (PlanCreate, PLAN, "grace_hours", -1),
        (PlanCreate, PLAN, "grace_hours", 2**31),
        (PlanCreate, PLAN, "boost_from", "24:00"),
        (PlanCreate, PLAN, "boost_from", "6pm"),
        (PlanCreate, PLAN, "service", "ppp"),
        (PlanCreate, PLAN, "after_limit", "Throttle"),
        (RouterCreate, ROUTER, "nas_address", "10.0.0.0/24"),
        (RouterCreate, ROUTER, "nas_address", "router.example"),
        (RouterCreate, ROUTER, "nas_address", "0.0.0.0"),
        (RouterCreate, ROUTER, "nas_address", "224.0.0.1"),
        (RouterCreate, ROUTER, "nas_address", "255.255.255.255"),
        (RouterCreate, ROUTER, "nas_address", "fe80::1%eth0"),
        (RouterCreate, ROUTER, "nas_address", 167772161),
        (RouterCreate, ROUTER, "coa_port", 0),
        (RouterCreate, ROUTER, "coa_port", 65536),
        (RouterCreate, ROUTER, "radius_secret", "short"),
        (RouterCreate, ROUTER, "radius_secret", "with a space"),
        (RouterCreate, ROUTER, "radius_secret", "ümlaut-secret"),
        (SubscriberCreate, {"name": "Jane"}, "msisdn", "2547****678"),
        (SubscriberCreate, {"name": "Jane"}, "email", "jane"),
        (SubscriberCreate, {"name": "Jane"}, "note", "a\0b"),
        (SubscriptionCreate, SUBSCRIPTION, "subscriber_id", 0),
        (SubscriptionCreate, SUBSCRIPTION, "subscriber_id", 2**63),
        (SubscriptionCreate, SUBSCRIPTION, "service", "any"),
        (SubscriptionCreate, SUBSCRIPTION, "username", "a\tb"),
        (SubscriptionCreate, SUBSCRIPTION, "username", "x" * 65),
        (SubscriptionCreate, SUBSCRIPTION, "password", ""),
        (SubscriptionCreate, SUBSCRIPTION, "password", "é" * 65),
        (SubscriptionCreate, SUBSCRIPTION, "macs", "AA:BB:CC:DD:EE:FF"),
        (SubscriptionCreate, SUBSCRIPTION, "framed_ip_address", "2001:db8::1"),
        (SubscriptionCreate, SUBSCRIPTION, "framed_ip_address", "255.255.255.254"),
        (SubscriptionCreate, SUBSCRIPTION, "framed_ip_address", "10.1"),
        (SubscriptionCreate, SUBSCRIPTION, "delegated_ipv6_prefix", "2001:db8::1/56"),
        (SubscriptionCreate, SUBSCRIPTION, "delegated_ipv6_prefix", "10.0.0.0/8"),
        (SubscriptionCreate, SUBSCRIPTION, "bind_mac", "yes"),
        (TenantCreate, {"slug": "a", "name": "A"}, "timezone", "../etc/passwd"),
        (TenantCreate, {"slug": "a", "name": "A"}, "timezone", "EAT+3"),
        (TenantCreate, {"name": "A"}, "slug", "-a"),
        (TenantCreate, {"name": "A"}, "slug", "a\n"),
        (AdminCreate, {"email": "a@b.c", "role": "owner"}, "password", "short"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(
    model: type[BaseModel], rest: dict[str, Any], field: str, written: Any
) -> None:
    with pytest.raises(Invalid) as caught:
        validate(model, {**rest, field: written})
    assert caught.value.field == field
    assert caught.value.message.endswith(".")


def test_a_refusal_never_repeats_what_was_sent() -> None:
    with pytest.raises(Invalid) as caught:
        validate(SubscriptionCreate, {**SUBSCRIPTION, "password": {"hunter2": "hunter2"}})
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize(
    "macs", [["AA:BB:CC:DD:EE:FF", "01:00:00:00:00:01"], ["AA:BB:CC:DD:EE:FF", "00:00:00:00:00:00"]]
)
def test_an_address_of_many_devices_is_named_by_its_place(macs: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        validate(SubscriptionCreate, {**SUBSCRIPTION, "macs": macs})
    assert caught.value.field == "macs.1"


@pytest.mark.parametrize(
    ("values", "code"), [({}, "missing"), ({**PLAN, "colour": "red"}, "unknown_field"), ([], "invalid")]
)
def test_missing_and_unknown_fields_have_codes_of_their_own(values: Any, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        validate(PlanCreate, values)
    assert caught.value.code == code


def test_a_patch_holds_what_was_given_and_nothing_else() -> None:
    assert given(validate(PlanChange, {"framed_pool": None, "devices": 2})) == {"framed_pool": None, "devices": 2}
    assert given(validate(PlanChange, {})) == {}


@pytest.mark.parametrize(
    ("model", "field"),
    [
        (PlanChange, "name"),
        (PlanChange, "devices"),
        (RouterChange, "radius_secret"),
        (SubscriptionChange, "password"),
        (SubscriptionChange, "macs"),
    ],
)
def test_a_patch_can_not_unset_what_must_be_set(model: type[BaseModel], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        validate(model, {field: None})
    assert caught.value.field == field


def test_a_partial_model_keeps_every_field_and_bound() -> None:
    assert list(partial(PlanCreate, "P").model_fields) == list(PlanCreate.model_fields)
    with pytest.raises(Invalid):
        validate(partial(PlanCreate, "P"), {"priority": 9})


def test_a_plan_left_to_its_defaults_is_what_the_table_would_make_it() -> None:
    columns = Plan.__table__.columns
    for name, field in PlanCreate.model_fields.items():
        if not field.is_required():
            server_default = columns[name].server_default
            stored = None if server_default is None else server_default.arg
            assert (None if field.default is None else str(field.default)) == stored, name


@pytest.mark.parametrize(
    ("query", "sorts"),
    [
        (PlanQuery, plan.SORTS),
        (SubscriberQuery, subscriber.SORTS),
        (SubscriptionQuery, subscription_list.SORTS),
        (RouterQuery, router.SORTS),
        (SessionQuery, session_list.SORTS),
        (PaymentQuery, payment.SORTS),
        (IntentQuery, payment_intent.SORTS),
        (WalletQuery, ledger_list.SORTS),
        (BatchQuery, voucher.SORTS),
    ],
)
def test_a_list_offers_every_order_both_ways(query: type[BaseModel], sorts: dict[str, Any]) -> None:
    offered = set(get_args(query.model_fields["sort"].annotation))
    assert offered == set(sorts) | {f"-{name}" for name in sorts}


# Tables that only our own code writes: a constraint violated there is a fault of ours, not of the caller.
INTERNAL = {
    *("session", "session_history", "usage", "usage_day", "auth_log", "event", "job", "api_token"),
    *("ledger_posting", "ledger_entry", "wallet", "renewal", "webhook_inbox", "idempotency_key"),
    *("router_tunnel", "tunnel_hub"),
    *("follow", "follow_plan", "session_held", "session_intent"),
    *("sms_gateway", "sms_message"),
    *("admin_session", "admin_totp", "login_attempt"),
    "router_service_config",
    "router_deployment",
    "router_deployment_step",
    "ip_pool",
    "router_import",
    "router_import_row",
    "router_backup",
    *("event_total", "event_count", "event_ticket", "webhook_delivery"),
}
# The same of single constraints, in tables that callers write in part.
INTERNAL_CONSTRAINTS = {
    "payment_account_local_url_check",
    "payment_account_c2b_token_hash_key",
    "payment_applied_check",
    "payment_booked_check",
    "payment_intent_account_reference_check",
    "payment_intent_account_reference_key",
    "payment_intent_callback_token_hash_key",
    "payment_intent_checkout_request_id_key",
    "payment_intent_price_check",
    "payment_intent_prompted_check",
    "payment_intent_queries_check",
    "payment_intent_state_check",
    "payment_provider_check",
    "payment_provisional_key",
    "payment_receipt_or_intent_check",
    "payment_state_check",
    "payment_suspense_check",
    "payment_tenant_id_intent_id_fkey",
    "payment_tenant_id_payment_account_id_fkey",
    "voucher_payment_of_a_redeemed_check",
    "voucher_redeemed_check",
    "voucher_state_check",
    "voucher_tenant_id_code_hash_key",
}


def test_every_constraint_that_a_caller_can_violate_has_a_sentence() -> None:
    known = set(refusal._TAKEN) | set(refusal._INVALID)
    ours = set()
    for table in Base.metadata.tables.values():
        if table.name in INTERNAL:
            continue
        for constraint in table.constraints:
            if isinstance(constraint, CheckConstraint) or (
                isinstance(constraint, UniqueConstraint) and "id" not in constraint.columns
            ):
                ours.add(str(constraint.name))
            if (
                isinstance(constraint, ForeignKeyConstraint)
                and table.name in ("subscription", "payment", "payment_intent")
                and len(constraint.columns) > 1
            ):
                ours.add(str(constraint.name))
        ours |= {str(index.name) for index in table.indexes if isinstance(index, Index) and index.unique}
    ours.add("device_pkey")
    assert ours >= INTERNAL_CONSTRAINTS
    assert ours - INTERNAL_CONSTRAINTS == known


@pytest.mark.parametrize("archived_at", [None, datetime(2026, 11, 20, 8, tzinfo=timezone(timedelta(hours=3)))])
@pytest.mark.parametrize("name", ["Wanjiku", 'O\'Brien "Kamau" \\ \u00e9\u4e2d\U0001f600\x7f', "</script>\u2028"])
def test_a_row_in_a_list_is_written_as_it_is_by_itself(name: str, archived_at: datetime | None) -> None:
    """No model is made for it; what it says must be what its model says."""
    row = SimpleNamespace(
        tenant_id=7,
        id=2**53,
        name=name,
        msisdn=None,
        email="wanjiku@example.net",
        note="",
        created_at=datetime(2026, 11, 20, 8, 0, 0, 1, tzinfo=UTC),
        archived_at=archived_at,
    )
    alone = SubscriberOut.of(row).model_dump_json().encode()
    assert rows_as_json(SubscriberOut, [row, row]) == b"[" + alone + b"," + alone + b"]"
    assert rows_as_json(SubscriberOut, []) == b"[]"
