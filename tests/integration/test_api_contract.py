"""The API against its own description: requests that are made up of /openapi.json get the answers that it has.

Schemathesis makes them, good ones and bad ones, for each operation of the route table. Half of them are about things
that are there. `KIBALI_CONTRACT_EXAMPLES=200` looks longer.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import ROUTES
from api.endpoint import Endpoint
from api.http_protocol import TOO_LARGE as HEAD_TOO_LARGE
from api.openapi import Operation, document, operations
from api.schemas.base import NoQuery, Nothing
from settings import Settings
from tests.integration.payment_api import Shop, shared_shop

EXAMPLES = int(os.environ.get("KIBALI_CONTRACT_EXAMPLES", "10"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document(ROUTES))
OPERATIONS = list(operations(ROUTES))
# The lists that hold what a field of a body may name.
NAMED = {
    "plan_id": "/plans",
    "subscriber_id": "/subscribers",
    "subscription_id": "/subscriptions",
    "router_id": "/routers",
    "payment_account_id": "/payment-accounts",
}


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.fixture(scope="module")
def shop(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Shop]:
    with shared_shop(server_environ, postgres_server, redis_server, template_database, private_directory) as shop:
        yield shop


@pytest.fixture(autouse=True)
def _something_of_each_kind(shop: Shop) -> None:
    """Of what may be gone, or in another state, after the test before: among it whoever asks."""
    shop.execute("UPDATE api_token SET revoked_at = NULL, expires_at = NULL, scopes = NULL")
    shop.execute("UPDATE admin SET disabled_at = NULL, role = 'owner' WHERE email LIKE 'owner@%%'")
    shop.subscription(router_ids=[shop.router()["id"]])
    shop.account()
    batch = shop.made("/vouchers", plan_id=shop.plan()["id"], count=1)
    shop.asked()
    shop.in_suspense()
    code = shop.get(f"/vouchers/{batch['id']}/codes")["items"][0]["code"]
    shop.made("/vouchers/redeem", code=code, phone="0712345678")


def newest_id(shop: Shop, collection: str) -> int | None:
    """None for a list that is empty, or for a path that is no list."""
    answer = shop.request("GET", collection, params={"limit": 200})
    items = answer.json().get("items") if answer.status_code == 200 else None
    return max((item["id"] for item in items if isinstance(item.get("id"), int)), default=None) if items else None


def about_what_is_there(shop: Shop, case: Case[Any], mode: GenerationMode) -> None:
    if "id" in case.path_parameters:
        collection = case.path.removeprefix("/api/v1").partition("/{id}")[0]
        if (found := newest_id(shop, collection)) is not None:
            case.path_parameters["id"] = found
    if isinstance(case.body, dict) and mode is GenerationMode.POSITIVE:
        for field in case.body.keys() & NAMED.keys():
            if (found := newest_id(shop, NAMED[field])) is not None:
                case.body[field] = found


def says_wrong(case: Case[Any]) -> bool:
    """Whether something is wrong with the body or the query, which are sent as they were made up."""
    components = case.meta.components if case.meta else {}
    wrong = {where for where, each in components.items() if each.mode is GenerationMode.NEGATIVE}
    if any(value in ([], {}) for value in (case.query or {}).values()):
        return False  # a parameter that is nothing in the URL
    return bool(wrong & {ParameterLocation.BODY, ParameterLocation.QUERY})


def can_be_wrong(operation: Operation) -> bool:
    return isinstance(operation.endpoint, Endpoint) and (
        bool(operation.route.param_convertors)
        or operation.endpoint.query is not NoQuery
        or operation.endpoint.body is not Nothing
    )


def run(shop: Shop, operation: Operation, mode: GenerationMode) -> set[int]:
    """The statuses that were answered."""
    answered: set[int] = set()
    is_closed = isinstance(operation.endpoint, Endpoint)
    headers = {"Authorization": f"Bearer {shop.operator.tokens['owner']}"} if is_closed else {}
    described = SCHEMA[operation.path][operation.method]

    @given(case=described.as_strategy(generation_mode=mode), there=strategies.booleans())
    @hypothesis_settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def answers_as_described(case: Case[Any], *, there: bool) -> None:
        if there:
            about_what_is_there(shop, case, mode)
        response = case.call(base_url=str(shop.http.base_url), session=session, headers=headers, timeout=30)
        if response.status_code == HEAD_TOO_LARGE:  # for whatever path: no route was asked
            return
        answered.add(response.status_code)
        case.validate_response(response, checks=[*CHECKS, negative_data_rejection] if says_wrong(case) else CHECKS)

    with requests.Session() as session:
        session.trust_env = False
        answers_as_described()
    return answered


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_requests_as_described_get_answers_as_described(shop: Shop, operation: Operation) -> None:
    answered = run(shop, operation, GenerationMode.POSITIVE)
    assert answered - {401, 429}, "no request got past the door"


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if can_be_wrong(each)], ids=name_of)
def test_requests_that_are_wrong_are_refused_as_described(shop: Shop, operation: Operation) -> None:
    run(shop, operation, GenerationMode.NEGATIVE)
