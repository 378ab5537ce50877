"""/openapi.json: each route says what it takes and answers, in words and in models."""

import json
import re
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.app import ROUTES
from api.endpoint import Endpoint, at, open_to_all
from api.openapi import Operation, document, operations
from api.schemas.base import Listed

OPERATIONS = list(operations(ROUTES))
DOCUMENT = document(ROUTES)


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def described(operation: Operation) -> Any:
    return DOCUMENT["paths"][operation.path][operation.method.lower()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_route_is_described_in_words(operation: Operation) -> None:
    summary = described(operation)["summary"]
    assert re.fullmatch(r"[A-Z].*\.", summary), f"the docstring of its handler does not say what it does: {summary!r}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_route_says_what_it_answers(operation: Operation) -> None:
    answers = operation.endpoint.answers
    assert any(status < 300 for status in answers)
    for status, content in answers.items():
        if isinstance(content, type) and issubclass(content, BaseModel) and not issubclass(content, Listed):
            assert content.__doc__, f"{status}: {content.__name__} has no docstring"


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_every_parameter_of_the_path_is_described(operation: Operation) -> None:
    named = {each["name"] for each in described(operation)["parameters"] if each["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", operation.path))


def test_operations_have_names_of_their_own() -> None:
    names = [described(operation)["operationId"] for operation in OPERATIONS]
    assert sorted(set(names)) == sorted(names)


def test_a_token_is_asked_for_wherever_a_handler_asks_for_one() -> None:
    for operation in OPERATIONS:
        asks = isinstance(operation.endpoint, Endpoint)
        assert bool(described(operation)["security"]) == asks, name_of(operation)


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#([^"]+)"', json.dumps(DOCUMENT))):
        place: Any = DOCUMENT
        for step in reference.strip("/").split("/"):
            place = place[step]


def test_every_schema_is_one() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Za-z0-9.]+", name)
        jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def test_a_route_that_says_nothing_of_its_answers_is_an_error() -> None:
    async def handler(_request: Request) -> Response:
        return Response()

    with pytest.raises(TypeError, match="/silent says nothing"):
        document([Route("/silent", handler)])
    assert document([at("/said", GET=open_to_all({204: None})(handler))])["paths"]["/said"]
