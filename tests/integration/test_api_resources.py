"""Plans, subscribers, subscriptions and routers over the API: made, read, changed, ended."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from isp.encryption import Keyring
from settings import Settings
from tests.integration.api_server import Client, api_of, shared_settings


@pytest.fixture(scope="module")
def api(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Client]:
    with (
        shared_settings(
            server_environ, postgres_server, redis_server, template_database, private_directory
        ) as settings,
        api_of(settings, timezone="Africa/Nairobi") as client,
    ):
        yield client


def one(api: Client, statement: str, *values: Any) -> Any:
    """The first column of the first row, as the superuser sees it."""
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as connection:
        row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def error(response: Any, status: int) -> dict[str, str]:
    assert response.status_code == status, response.text
    answered: dict[str, str] = response.json()["error"]
    return answered


# What is read is what was made.


def test_a_plan_is_read_as_it_was_made(api: Client) -> None:
    made = api.plan(
        name="Evening",
        price_kes="49.5",
        boost_from="18:00",
        boost_until="06:00",
        boost_upload_kbps=1,
        boost_download_kbps=2,
    )
    assert made["price_kes"] == "49.50"
    assert made["boost_from"] == "18:00:00"
    assert made["created_at"].endswith("Z")
    assert api.get(f"/plans/{made['id']}") == made


def test_what_was_made_says_where_it_is(api: Client) -> None:
    response = api.post("/subscribers", {"name": "Jane"})
    assert response.headers["location"] == f"/api/v1/subscribers/{response.json()['id']}"


def test_a_subscriber_is_read_as_it_was_made(api: Client) -> None:
    made = api.subscriber(name="Jane", msisdn="0700 000 001", email="Jane@example.com", note="gate 4")
    assert made["msisdn"] == "254700000001"
    assert api.get(f"/subscribers/{made['id']}") == made


def test_a_router_is_read_without_its_secret(api: Client) -> None:
    made = api.router(nas_address="2001:db8::9", swap_octets=True, coa_port=1700)
    secret = made.pop("radius_secret")
    assert api.get(f"/routers/{made['id']}") == made
    sealed = one(api, "SELECT radius_secret_sealed FROM router WHERE id = %s", made["id"])
    keyring = Keyring.parse(api.settings.encryption_keys.reveal())
    assert keyring.open(sealed, f"router.radius_secret:{made['id']}") == secret
    assert len(secret) == 32


def test_a_given_secret_is_never_said_again(api: Client) -> None:
    made = api.router(radius_secret="0123456789abcdef")
    assert "radius_secret" not in made
    changed = api.patch(f"/routers/{made['id']}", {"radius_secret": "fedcba9876543210"})
    assert "fedcba" not in changed.text
    sealed = one(api, "SELECT radius_secret_sealed FROM router WHERE id = %s", made["id"])
    keyring = Keyring.parse(api.settings.encryption_keys.reveal())
    assert keyring.open(sealed, f"router.radius_secret:{made['id']}") == "fedcba9876543210"


# A subscription begins.


def test_a_subscription_begins_now_and_ends_by_the_tenants_calendar(api: Client) -> None:
    made = api.subscription(plan_id=api.plan(validity_unit="months", validity_count=1)["id"])
    began, ends = (
        datetime.fromisoformat(made[name]).astimezone(ZoneInfo("Africa/Nairobi"))
        for name in ("activated_at", "expires_at")
    )
    assert (made["status"], made["state"]) == ("active", "active")
    assert ends.time() == began.time()
    assert 28 <= (ends.date() - began.date()).days <= 31
    assert abs(datetime.now(began.tzinfo) - began) < timedelta(minutes=1)


def test_a_plan_that_counts_from_the_first_login_has_not_begun(api: Client) -> None:
    made = api.subscription(plan_id=api.plan(validity_from="first_login")["id"])
    assert (made["state"], made["activated_at"], made["expires_at"]) == ("active", None, None)


def test_an_unlimited_plan_never_expires(api: Client) -> None:
    made = api.subscription(plan_id=api.plan(validity_unit="unlimited", validity_count=None)["id"])
    assert made["activated_at"] is not None
    assert made["expires_at"] is None


def test_a_subscription_begins_with_nothing_used(api: Client) -> None:
    made = api.subscription()
    assert one(api, "SELECT input_octets + output_octets FROM usage WHERE subscription_id = %s", made["id"]) == 0


def test_a_made_up_password_is_said_once_and_opens_with_the_key(api: Client) -> None:
    made = api.subscription()
    password = made.pop("password")
    assert not set(password) & set("ilo01")
    assert api.get(f"/subscriptions/{made['id']}") == made
    sealed = one(api, "SELECT password_sealed FROM subscription WHERE id = %s", made["id"])
    keyring = Keyring.parse(api.settings.encryption_keys.reveal())
    assert keyring.open(sealed, f"subscription.password:{made['id']}") == password
    assert password.encode() not in sealed


def test_a_given_password_is_not_repeated(api: Client) -> None:
    assert "password" not in api.subscription(password="s3cret-of-jane")


def test_on_a_hotspot_the_phone_number_is_the_username(api: Client) -> None:
    jane = api.subscriber(msisdn="0700000002")["id"]
    first, second = api.subscription(subscriber_id=jane), api.subscription(subscriber_id=jane)
    assert first["username"] == "254700000002"
    assert second["username"] not in ("", first["username"])


def test_on_pppoe_the_username_is_made_up(api: Client) -> None:
    jane = api.subscriber(msisdn="0700000003")["id"]
    assert api.subscription(subscriber_id=jane, service="pppoe")["username"] != "254700000003"


@pytest.mark.parametrize(
    ("of_plan", "asked", "answered"),
    [
        ("hotspot", None, "hotspot"),
        ("pppoe", None, "pppoe"),
        ("any", "pppoe", "pppoe"),
        ("hotspot", "hotspot", "hotspot"),
        ("any", None, None),
        ("hotspot", "pppoe", None),
        ("pppoe", "hotspot", None),
    ],
)
def test_the_service_fits_the_plans(api: Client, of_plan: str, asked: str | None, answered: str | None) -> None:
    body = {"plan_id": api.plan(service=of_plan)["id"], "subscriber_id": api.subscriber()["id"], "service": asked}
    response = api.post("/subscriptions", body)
    if answered:
        assert response.json()["service"] == answered
    else:
        assert error(response, 422)["field"] == "service"


@pytest.mark.parametrize("missing", ["plan_id", "subscriber_id"])
def test_a_subscription_to_nothing_is_refused(api: Client, missing: str) -> None:
    body = {"plan_id": api.plan()["id"], "subscriber_id": api.subscriber()["id"], "service": "pppoe", missing: 10**15}
    assert error(api.post("/subscriptions", body), 422) == {
        "code": "not_found",
        "message": f"There is no such {missing.removesuffix('_id')}.",
        "field": missing,
    }


@pytest.mark.parametrize("ended", ["plan", "subscriber"])
def test_a_subscription_to_what_is_archived_is_refused(api: Client, ended: str) -> None:
    body = {"plan_id": api.plan()["id"], "subscriber_id": api.subscriber()["id"], "service": "pppoe"}
    assert api.delete(f"/{ended}s/{body[f'{ended}_id']}").status_code == 204
    refused = error(api.post("/subscriptions", body), 422)
    assert (refused["code"], refused["field"]) == ("archived", f"{ended}_id")


def test_a_refused_subscription_leaves_nothing_behind(api: Client) -> None:
    api.subscription(macs=["02:00:00:00:00:01"])
    before = one(api, "SELECT count(*) FROM subscription")
    body = {
        "plan_id": api.plan()["id"],
        "subscriber_id": api.subscriber()["id"],
        "service": "hotspot",
        "macs": ["020000000001"],
    }
    assert error(api.post("/subscriptions", body), 409)["field"] == "macs"
    assert one(api, "SELECT count(*) FROM subscription") == before
    assert one(api, "SELECT count(*) FROM subscription WHERE password_sealed = ''") == 0


# One name, one address, one device.


def test_a_device_belongs_to_one_subscription_which_the_answer_names(api: Client) -> None:
    holder = api.subscription(macs=["02:00:00:00:00:02"])
    other = api.subscription()
    refused = error(api.patch(f"/subscriptions/{other['id']}", {"macs": ["0200.0000.0002"]}), 409)
    assert refused["message"] == f"02:00:00:00:00:02 belongs to subscription {holder['id']}."


@pytest.mark.parametrize(
    ("kind", "field", "first", "second"),
    [
        ("plan", "name", "Silver", "SILVER"),
        ("subscriber", "msisdn", "0700000004", "+254 700 000 004"),
        ("router", "name", "Nyali", "nyali"),
        ("router", "nas_address", "192.0.2.7", "::ffff:192.0.2.7"),
        ("subscription", "username", "jane", "JANE"),
        ("subscription", "framed_ip_address", "10.1.0.7", "10.1.0.7"),
        ("subscription", "delegated_ipv6_prefix", "2001:db8:7::/56", "2001:DB8:7::/56"),
    ],
)
def test_what_must_be_one_of_a_kind_is_until_it_ends(
    api: Client, kind: str, field: str, first: str, second: str
) -> None:
    make = getattr(api, kind)
    holder, other = make(**{field: first}), make()
    refused = error(api.patch(f"/{kind}s/{other['id']}", {field: second}), 409)
    assert (refused["code"], refused["field"]) == ("taken", field)
    assert api.delete(f"/{kind}s/{holder['id']}").status_code == 204
    assert api.patch(f"/{kind}s/{other['id']}", {field: second}).status_code == 200


# Changes.


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("plan", {"devices": 3, "framed_pool": "hotspot", "price_kes": "99.00"}),
        ("subscriber", {"name": "Jane Wanjiru", "note": None, "msisdn": "254700000005"}),
        ("router", {"name": "Roof", "coa_port": 1700, "require_message_authenticator": "yes"}),
        ("subscription", {"username": "roof", "macs": ["02:00:00:00:00:03"], "framed_ip_address": "10.2.0.1"}),
        (
            "subscription",
            {"delegated_ipv6_prefix": "2001:db8:8::/48", "bind_mac": True, "bound_mac": "02:00:00:00:00:09"},
        ),
    ],
)
def test_a_patch_changes_what_it_names_and_nothing_else(api: Client, kind: str, change: dict[str, Any]) -> None:
    made = getattr(api, kind)()
    made.pop("password", None), made.pop("radius_secret", None)
    changed = api.patch(f"/{kind}s/{made['id']}", change).json()
    assert changed == api.get(f"/{kind}s/{made['id']}")
    assert {**changed, "updated_at": None} == {**made, **change, "updated_at": None}


def test_a_subscription_may_begin_with_many_devices(api: Client) -> None:
    macs = [f"0C:00:00:00:00:{number:02X}" for number in range(1, 101)]
    assert api.subscription(macs=[mac.lower() for mac in reversed(macs)])["macs"] == macs


def test_setting_macs_replaces_all_of_them(api: Client) -> None:
    made = api.subscription(macs=["02:00:00:00:00:04", "02:00:00:00:00:05"])
    changed = api.patch(f"/subscriptions/{made['id']}", {"macs": ["02:00:00:00:00:05", "02:00:00:00:00:06"]}).json()
    assert changed["macs"] == ["02:00:00:00:00:05", "02:00:00:00:00:06"]
    assert api.patch(f"/subscriptions/{made['id']}", {"macs": []}).json()["macs"] == []


def test_setting_routers_replaces_all_of_them(api: Client) -> None:
    first, second = api.router()["id"], api.router()["id"]
    made = api.subscription(router_ids=[second, first, second])
    assert made["router_ids"] == [first, second]
    path = f"/subscriptions/{made['id']}"
    assert api.patch(path, {"username": "elsewhere"}).json()["router_ids"] == [first, second]
    assert api.patch(path, {"router_ids": [second]}).json()["router_ids"] == [second]
    assert api.get(path)["router_ids"] == [second]
    assert api.patch(path, {"router_ids": []}).json()["router_ids"] == []


def test_a_subscription_is_valid_everywhere_unless_told_otherwise(api: Client) -> None:
    assert api.subscription()["router_ids"] == []


@pytest.mark.parametrize(("ended", "code"), [(False, "not_found"), (True, "removed")])
def test_a_router_that_is_not_there_is_refused_and_nothing_changes(api: Client, ended: bool, code: str) -> None:
    there = api.router()["id"]
    router_id = api.router()["id"] if ended else 10**15
    made = api.subscription(router_ids=[there])
    api.delete(f"/routers/{router_id}")
    path = f"/subscriptions/{made['id']}"
    refused = error(api.patch(path, {"username": "moved", "router_ids": [there, router_id]}), 422)
    assert (refused["code"], refused["field"]) == (code, "router_ids")
    assert str(router_id) in refused["message"]
    made.pop("password")
    assert api.get(path) == made
    body = {"plan_id": made["plan_id"], "subscriber_id": made["subscriber_id"], "service": "hotspot"}
    assert error(api.post("/subscriptions", {**body, "router_ids": [router_id]}), 422) == refused


def test_a_subscription_stays_bound_to_a_router_that_is_removed_later(api: Client) -> None:
    """Were it free then, it would be valid everywhere."""
    router_id = api.router()["id"]
    made = api.subscription(router_ids=[router_id])
    api.delete(f"/routers/{router_id}")
    assert api.get(f"/subscriptions/{made['id']}")["router_ids"] == [router_id]


def test_without_binding_no_device_stays_bound(api: Client) -> None:
    made = api.subscription(bind_mac=True)
    api.patch(f"/subscriptions/{made['id']}", {"bound_mac": "02:00:00:00:00:07"})
    assert api.patch(f"/subscriptions/{made['id']}", {"bind_mac": False}).json()["bound_mac"] is None


@pytest.mark.parametrize(
    ("of_old", "of_new", "expiry"),
    [
        ({}, {"validity_count": 7}, "kept"),
        ({}, {"validity_unit": "unlimited", "validity_count": None}, "never"),
        ({"validity_unit": "unlimited", "validity_count": None}, {}, "from now"),
        ({"validity_from": "first_login"}, {}, "from now"),
        ({"validity_from": "first_login"}, {"validity_from": "first_login"}, "never"),
    ],
)
def test_a_change_of_plan_keeps_the_expiry_that_was_paid_for(
    api: Client, of_old: dict[str, Any], of_new: dict[str, Any], expiry: str
) -> None:
    made = api.subscription(plan_id=api.plan(**of_old)["id"])
    changed = api.patch(f"/subscriptions/{made['id']}", {"plan_id": api.plan(**of_new)["id"]}).json()
    match expiry:
        case "kept":
            assert changed["expires_at"] == made["expires_at"]
        case "never":
            assert changed["expires_at"] is None
        case _:
            left = datetime.fromisoformat(changed["expires_at"]) - datetime.now(ZoneInfo("UTC"))
            assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


def test_a_plan_of_another_service_is_refused(api: Client) -> None:
    made = api.subscription(service="pppoe")
    refused = error(api.patch(f"/subscriptions/{made['id']}", {"plan_id": api.plan(service="hotspot")["id"]}), 422)
    assert refused["field"] == "service"


def test_a_plan_can_not_leave_its_subscriptions_without_their_service(api: Client) -> None:
    made = api.subscription(service="pppoe")
    refused = error(api.patch(f"/plans/{made['plan_id']}", {"service": "hotspot"}), 409)
    assert refused["field"] == "service"
    assert api.patch(f"/plans/{made['plan_id']}", {"service": "pppoe"}).status_code == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"burst_time_s": 8}, "burst_upload_kbps"),
        ({"min_upload_kbps": 9000, "min_download_kbps": 1}, "min_upload_kbps"),
        ({"validity_count": None}, "validity_count"),
        ({"validity_unit": "unlimited"}, "validity_count"),
        ({"validity_unit": "months", "validity_count": 1201}, "validity_count"),
        ({"after_limit": "throttle"}, "fair_use_upload_kbps"),
        ({"fair_use_upload_kbps": 1, "fair_use_download_kbps": 1}, "fair_use_upload_kbps"),
        ({"boost_from": "18:00"}, "boost_from"),
        ({"on_expiry": "walled_garden"}, "walled_garden_address_list"),
        ({"walled_garden_address_list": "unpaid"}, "walled_garden_address_list"),
    ],
)
def test_terms_that_do_not_go_together_are_refused_together_with_what_is_stored(
    api: Client, change: dict[str, Any], field: str
) -> None:
    made = api.plan()
    refused = error(api.patch(f"/plans/{made['id']}", change), 422)
    assert refused["field"] == field
    assert api.get(f"/plans/{made['id']}") == made


# Suspend, resume, end.


def test_a_suspension_is_lifted_and_time_runs_on(api: Client) -> None:
    made = api.subscription()
    suspended = api.post(f"/subscriptions/{made['id']}/suspend").json()
    assert (suspended["state"], suspended["expires_at"]) == ("suspended", made["expires_at"])
    assert api.post(f"/subscriptions/{made['id']}/suspend").json() == suspended
    resumed = api.post(f"/subscriptions/{made['id']}/resume").json()
    assert (resumed["state"], resumed["expires_at"]) == ("active", made["expires_at"])
    assert api.post(f"/subscriptions/{made['id']}/resume").status_code == 200


def test_a_cancelled_subscription_can_only_be_looked_at(api: Client) -> None:
    made = api.subscription(macs=["02:00:00:00:00:08"])
    assert api.delete(f"/subscriptions/{made['id']}").status_code == 204
    assert api.delete(f"/subscriptions/{made['id']}").status_code == 204
    assert api.get(f"/subscriptions/{made['id']}")["state"] == "cancelled"
    for attempt in (
        api.post(f"/subscriptions/{made['id']}/suspend"),
        api.post(f"/subscriptions/{made['id']}/resume"),
        api.patch(f"/subscriptions/{made['id']}", {"username": "again"}),
    ):
        assert error(attempt, 409)["code"] == "cancelled"


def test_the_device_of_a_cancelled_subscription_is_free(api: Client) -> None:
    made = api.subscription(macs=["02:00:00:00:00:0a"])
    api.delete(f"/subscriptions/{made['id']}")
    assert api.subscription(macs=["02:00:00:00:00:0a"])["macs"] == ["02:00:00:00:00:0A"]


@pytest.mark.parametrize("kind", ["plan", "subscriber"])
def test_what_a_subscription_needs_is_archived_after_it(api: Client, kind: str) -> None:
    made = api.subscription()
    path = f"/{kind}s/{made[f'{kind}_id']}"
    assert error(api.delete(path), 409)["code"] == "in_use"
    api.post(f"/subscriptions/{made['id']}/suspend")
    assert error(api.delete(path), 409)["code"] == "in_use"
    api.delete(f"/subscriptions/{made['id']}")
    assert api.delete(path).status_code == 204
    assert api.get(path)["archived_at"] is not None
    assert error(api.patch(path, {"name": "again"}), 409)["code"] == "archived"


def test_a_removed_router_stays_on_record(api: Client) -> None:
    made = api.router()
    assert api.delete(f"/routers/{made['id']}").status_code == 204
    removed = api.get(f"/routers/{made['id']}")["removed_at"]
    assert api.delete(f"/routers/{made['id']}").status_code == 204
    assert api.get(f"/routers/{made['id']}")["removed_at"] == removed
    assert error(api.patch(f"/routers/{made['id']}", {"name": "again"}), 409)["code"] == "removed"


@pytest.mark.parametrize("kind", ["plans", "subscribers", "subscriptions", "routers"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_does_not_exist_is_a_404(api: Client, kind: str, method: str) -> None:
    response = api.request(method, f"/{kind}/999999", json={} if method == "PATCH" else None)
    assert error(response, 404)["code"] == "not_found"
