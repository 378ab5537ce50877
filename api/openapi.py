"""/openapi.json: what the API takes and answers, as OpenAPI 3.1, made of the route table and its models alone."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.routing import BaseRoute, Route

from api.answers import Content, Text
from api.endpoint import Endpoint, Open, Resource
from api.schemas.base import NoQuery, Nothing
from api.schemas.problem import ErrorOut

VERSION = "1"
ABOUT = """\
What the API does, `./kibali` does on the command line, by the same names.

- **Values.** Times are ISO 8601 in UTC, money is KES as text (`"500.00"`), speeds are kbit/s, sizes bytes. Phone
  numbers and MAC addresses are taken in every usual form. Fields that are not known are refused.
- **Lists** come in pages: give `next` back as `cursor` for the following one, `null` means there is none.
- **POST** takes an `Idempotency-Key`: sent again with the same key, it is answered as before and done once.
- **ETag.** What GET shows of one thing has one. A change may send it as `If-Match`, and is refused with 412 if
  somebody else was faster.
- **Tenants.** A token acts in its admin's tenant. The platform's own admins choose one by the header `Kibali-Tenant:
  SLUG`, but for what is about themselves or the platform.
- **Errors** are `{"error": {"code", "message", "field"?}}`; `code` is for programs.
- Every answer has an `X-Request-Id`, which the log has too.
"""

Json = dict[str, Any]
Key = tuple[Any, JsonSchemaMode]
"""A model, and whether it goes in or out."""
Refs = Mapping[Any, Json]

_PATH_TYPES = {
    "id": {"type": "integer", "format": "int64", "minimum": 1, "maximum": 10**18 - 1},
    "uuid": {"type": "string", "format": "uuid"},
    "str": {"type": "string", "minLength": 1},
}
_HEADERS = {
    "X-Request-Id": {"description": "As the request sent it, or made up.", "schema": {"type": "string"}},
    "Location": {"description": "Where it is found.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` if this is the answer that the same request got before.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "ETag": {"description": "What is shown, for If-Match and If-None-Match.", "schema": {"type": "string"}},
    "Retry-After": {"description": "In how many seconds to come back.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "The scheme to authenticate by.", "schema": {"type": "string"}},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "1 to 255 ASCII characters, made up for this request: sent again with it, it is done once.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that GET answered: if it was changed since, the answer is 412 and nothing is done.",
    "schema": {"type": "string", "examples": ['"686897696a7c876b7e72b3d4e1f0a9c2"']},
}
_IF_NONE_MATCH = {**_IF_MATCH, "name": "If-None-Match", "description": "An ETag: if it still holds, the answer is 304."}
_REFUSALS = {
    400: "The body is not what it says it is.",
    401: "There is no good token.",
    403: "The role may not do this.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "What is asked for contradicts what is there.",
    412: "It was changed since it had the ETag in If-Match.",
    413: "The body is too large.",
    415: "The body is of another type.",
    422: "A value can not be used: `field` says which.",
    429: "Too many requests, or wrong guesses.",
    503: "The database does not answer.",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path."""

    path: str
    method: str
    route: Route
    endpoint: Endpoint | Open
    shown: Endpoint | None
    """What GET shows of that which it is about, and has an ETag."""

    @property
    def resource(self) -> str:
        return str(self.endpoint.source.__module__).rpartition(".")[2].replace("_", "-")


def operations(routes: Iterable[BaseRoute]) -> Iterator[Operation]:
    """All that is described, in the order of the table. What is no `Route` is not: a WebSocket, files."""
    for route in routes:
        if not isinstance(route, Route):
            continue
        if not isinstance(route.endpoint, Resource):
            raise TypeError(f"{route.path} says nothing of what it answers: make it with at().")
        path = re.sub(r":\w+}", "}", route.path)
        for method, endpoint in route.endpoint.endpoints.items():
            if method != "HEAD":
                yield Operation(path, method, route, endpoint, route.endpoint.shown)


def document(routes: Iterable[BaseRoute]) -> Json:
    """The whole document."""
    described = list(operations(routes))
    refs, definitions = models_json_schema(
        sorted(_models(described), key=lambda key: (key[0].__name__, key[1])),
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, Json] = {}
    for operation in described:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, refs, definitions)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Kibali",
            "version": VERSION,
            "summary": "AAA and billing for hotspot and PPPoE networks.",
            "description": ABOUT,
            "license": {"name": "GPL-2.0-or-later", "identifier": "GPL-2.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.resource for operation in described)],
        "paths": paths,
        "components": {
            "schemas": _tidy(definitions["$defs"]),
            "responses": {_name(status): _refusal(status, refs) for status in _REFUSALS},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, `kbl_…`: `./kibali admin token EMAIL` makes one. Or a session, "
                    "`kbs_…`, of POST /api/v1/auth/login.",
                }
            },
        },
    }
    # Pydantic's name of Listed[PlanOut], said plainly.
    named: Json = json.loads(re.sub(r"Listed_(\w+?)Out_", r"\1List", json.dumps(made)))
    return named


def _models(described: Iterable[Operation]) -> set[Key]:
    keys: set[Key] = {(ErrorOut, "serialization")}
    for operation in described:
        keys |= {(content, "serialization") for content in operation.endpoint.answers.values() if _is_model(content)}
        if isinstance(operation.endpoint, Endpoint):
            keys |= {(model, "validation") for model in (operation.endpoint.query, operation.endpoint.body)}
        elif isinstance(operation.endpoint.body, type):
            keys.add((operation.endpoint.body, "validation"))
    return keys


def _operation(operation: Operation, refs: Refs, definitions: Json) -> Json:
    endpoint = operation.endpoint
    summary, _, more = (inspect.getdoc(endpoint.source) or "").partition("\n\n")
    name = getattr(endpoint.source, "__name__", "")
    described: Json = {
        "operationId": f"{operation.resource.replace('-', '_')}_{name}",
        "tags": [operation.resource],
        "summary": " ".join(summary.split()),
        "parameters": list(_path_parameters(operation.route)),
        "responses": {
            str(status): _answer(operation, status, content, refs)
            for status, content in operation.endpoint.answers.items()
        },
    }
    if more:
        described["description"] = more
    if isinstance(endpoint, Open):
        described["security"] = []
        if isinstance(endpoint.body, Text):
            described["requestBody"] = {"content": {endpoint.body.media_type: {}}, "required": True}
        elif endpoint.body is not None:
            content = {"application/json": {"schema": refs[endpoint.body, "validation"]}}
            described["requestBody"] = {"content": content, "required": True}
    else:
        described["security"] = [{"token": []}]
        roles = ", ".join(sorted([*endpoint.right, *(["platform"] if endpoint.right.in_no_tenant else [])]))
        described["description"] = "\n\n".join(filter(None, [more, f"Roles: {roles}."]))
        if endpoint.query is not NoQuery:
            described["parameters"] += _query_parameters(endpoint.query, refs, definitions)
        if operation.method == "POST":
            described["parameters"].append(_IDEMPOTENCY_KEY)
        if operation.shown is endpoint:
            described["parameters"].append(_IF_NONE_MATCH)
            headers = _headers("X-Request-Id", "ETag")
            described["responses"]["304"] = {"description": "It is as the caller knows it.", "headers": headers}
        elif operation.shown is not None:
            described["parameters"].append(_IF_MATCH)
        if endpoint.takes:
            described["requestBody"] = {"content": {each: {} for each in endpoint.takes}, "required": True}
        if endpoint.body is not Nothing:
            content = {"application/json": {"schema": refs[endpoint.body, "validation"]}}
            described["requestBody"] = {"content": content, "required": True}
    for status in _refusals(operation):
        described["responses"].setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    return described


def _refusals(operation: Operation) -> list[int]:
    if isinstance(operation.endpoint, Open):
        if isinstance(operation.endpoint.body, type):
            return [400, 401, 408, 413, 415, 422, 429, 503]
        return [] if operation.method == "GET" else [404, 408, 413, 429, 503]
    statuses = [401, 403, 422, 429, 503]
    if operation.method != "GET":
        statuses += [400, 413, 415]
    if operation.shown is not None and operation.method != "GET":
        statuses.append(412)
    if operation.route.param_convertors or operation.method != "GET":
        statuses += [404, 409]
    return sorted(statuses)


def _path_parameters(route: Route) -> Iterator[Json]:
    for name, convertor in route.param_convertors.items():
        kind = type(convertor).__name__.removesuffix("Convertor").lower().replace("string", "str")
        yield {"name": name, "in": "path", "required": True, "schema": _PATH_TYPES[kind]}


def _query_parameters(model: type[BaseModel], refs: Refs, definitions: Json) -> Iterator[Json]:
    schema = definitions["$defs"][refs[model, "validation"]["$ref"].rpartition("/")[2]]
    for name, spec in schema["properties"].items():
        plain = _without_null(_tidy(spec))
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": plain}
        if description := plain.pop("description", None):
            parameter["description"] = description
        yield parameter


def _answer(operation: Operation, status: int, content: Content, refs: Refs) -> Json:
    described: Json = {"description": "", "headers": _headers("X-Request-Id")}
    if operation.method == "POST" and isinstance(operation.endpoint, Endpoint):
        described["headers"] |= _headers("Idempotent-Replayed")
    if operation.shown is not None and content is operation.shown.answers.get(status):
        described["headers"] |= _headers("ETag")
    if status in (201, 202) or (operation.method, status) == ("POST", 200):
        described["headers"] |= _headers("Location")
    if isinstance(content, Text | tuple):
        texts = content if isinstance(content, tuple) else (content,)
        described["content"] = {text.media_type: {"schema": _schema_of_text(text)} for text in texts}
        described["description"] = f"As {' or '.join(text.media_type for text in texts)}."
    elif content is None:
        described["description"] = "Done."
    else:
        described["content"] = {"application/json": {"schema": refs[content, "serialization"]}}
        described["description"] = (content.__doc__ or content.__name__).partition("\n\n")[0]
    return described


def _schema_of_text(text: Text) -> Json:
    return {"type": ["object", "array"]} if text.media_type == "application/json" else {"type": "string"}


def _refusal(status: int, refs: Refs) -> Json:
    headers = _headers("X-Request-Id")
    if status in (429, 503):
        headers |= _headers("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        headers |= _headers("WWW-Authenticate")
    content = {"application/json": {"schema": refs[ErrorOut, "serialization"]}}
    return {"description": _REFUSALS[status], "headers": headers, "content": content}


def _headers(*names: str) -> Json:
    return {name: _HEADERS[name] for name in names}


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _is_model(content: Content) -> bool:
    return isinstance(content, type)


def _without_null(schema: Json) -> Json:
    """A parameter that is not there has no value; there is no null in a URL."""
    alternatives = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(alternatives) == 1:
        return {**{name: value for name, value in schema.items() if name != "anyOf"}, **alternatives[0]}
    return schema


def _tidy(schema: Any) -> Any:
    """Without titles, which repeat names, and without null as the default of what is just left out."""
    if isinstance(schema, list):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for name, value in schema.items():
        if name == "properties":
            kept[name] = {field: _tidy(spec) for field, spec in value.items()}
        elif not (name == "title" and isinstance(value, str)) and not (name == "default" and value is None):
            kept[name] = _tidy(value)
    return kept
