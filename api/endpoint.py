"""From a request to a handler and back: who, may they, what do they say; then one transaction in one tenant.

A handler is a plain function of a `Call` and, if it takes any, its query or body as a model. It returns what to answer,
which is one of the answers that are declared beside it; its docstring is its description in /openapi.json.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import redis
import structlog
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from api import auth, body, conditional, idempotency
from api.answers import Answers, Text
from api.auth import Caller, actor_of
from api.body import MAX_BYTES
from api.problem import Problem, problem_of
from api.rights import Right
from api.schemas.base import Input, NoQuery, Nothing, Query, validate
from api.services import Services, services_of
from api.threads import in_thread
from db.bearer import AsBearer, Bearer, Changed
from db.engine import use_bearer, use_tenant
from db.reading import InTenant, Reader
from db.router_bootstrap import Site
from isp.encryption import Keyring

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Input)


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a handler. `session` sees the caller's tenant only and is committed when the handler returns."""

    caller: Caller
    session: Session
    reader: Reader
    """For lists: each question a transaction of its own, which sees the caller's tenant only."""
    path: Mapping[str, Any]
    keyring: Keyring
    now: datetime
    public_url: str
    voucher_url: str
    site: Site
    redis: redis.Redis
    request: Request
    """For what is about the request itself: where it came from, its cookie."""

    @property
    def tenant_id(self) -> int:
        """The tenant to act in. Of a right that the platform has too, ask `caller`: there may be none."""
        assert self.caller.tenant_id is not None
        return self.caller.tenant_id

    @property
    def admin_id(self) -> int:
        return self.caller.identity.admin_id

    @property
    def id(self) -> int:
        """The {id} of the path."""
        return int(self.path["id"])


@dataclass(frozen=True, slots=True)
class Json:
    """What was written as JSON already."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """`content` None answers without a body, a text as text/plain, bytes as a PDF."""

    content: BaseModel | Json | Mapping[str, Any] | str | bytes | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Callable[[Session], Iterator[str]] | None = None
    """In place of a content: what it yields, however much, from a session of its own."""
    media_type: str | None = None
    """Of a stream."""

    def response(self) -> Response:
        if self.content is None:
            return Response(status_code=self.status, headers=self.headers)
        if isinstance(self.content, BaseModel):
            # What was not set is left out: a secret that is said once.
            content = self.content.model_dump_json(exclude_unset=True)
            return Response(content, self.status, self.headers, media_type="application/json")
        if isinstance(self.content, Json):
            return Response(self.content.text, self.status, self.headers, media_type="application/json")
        if isinstance(self.content, str):
            return PlainTextResponse(self.content, self.status, self.headers)
        if isinstance(self.content, bytes):
            return Response(self.content, self.status, self.headers, media_type="application/pdf")
        return JSONResponse(self.content, self.status, self.headers)


NO_CONTENT = Reply(None, 204)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A handler with what it asks for, a right and the models of its query and body, and what it may answer."""

    right: Right
    query: type[Query]
    body: type[Input]
    answers: Answers
    handler: Callable[[Call, Query, Input], Reply]
    source: Callable[..., Reply]
    """The handler as it was written."""
    takes: tuple[str, ...] = ()
    """Media types of a body that is a file, and no JSON of ours."""
    most_bytes: int = MAX_BYTES

    async def answer(self, request: Request, shown: "Endpoint | None" = None) -> Response:
        """`shown` is what GET shows of that which the request is about."""
        services = services_of(request)
        if body.is_empty(request):  # one turn of a thread does
            try:
                return await in_thread(self._admit_and_run, services, request, shown)
            finally:  # what a thread binds is gone with it
                if admitted := getattr(request.state, "caller", None):
                    _name_in_log(admitted)
        caller = await in_thread(auth.admit, services, request, self.right)
        _name_in_log(caller)
        content = await body.read(request, self.most_bytes)
        return await in_thread(self._run, services, caller, request, content, shown)

    def _admit_and_run(self, services: Services, request: Request, shown: "Endpoint | None") -> Response:
        if request.method in ("GET", "HEAD") and (bearer := auth.remembered(services, request)) is not None:
            response = self._run_as(services, bearer, request, shown)
            if response is not None:
                return response
        request.state.caller = caller = auth.admit(services, request, self.right)
        _name_in_log(caller)
        return self._run(services, caller, request, b"", shown)

    def _run_as(
        self, services: Services, bearer: Bearer, request: Request, shown: "Endpoint | None"
    ) -> Response | None:
        """The answer, for which PostgreSQL is asked who bears the token in the message that asks the handler's first
        question. None if it did not say that it is the bearer: then nothing was answered, and nothing happened.
        """
        opening = AsBearer(bearer)
        caller = Caller(bearer.identity, bearer.identity.tenant_id)
        try:
            auth.allowed(services, request, self.right, bearer.identity)
            _name_in_log(caller)
            response = self._run(services, caller, request, b"", shown, opening)
        except Changed:
            return None
        except SQLAlchemyError:  # of which nobody learns anything
            raise
        except Exception:
            if opening.is_confirmed:
                raise
            return None
        finally:
            if opening.is_confirmed:
                request.state.caller = caller
        return response if opening.is_confirmed else None

    def _run(
        self,
        services: Services,
        caller: Caller,
        request: Request,
        content: bytes,
        shown: "Endpoint | None",
        opening: AsBearer | None = None,
    ) -> Response:
        query = validate(self.query, _parameters(request))
        values = self._body(request, content)
        if_match = conditional.if_match(request, is_known=shown is not None)
        sent = idempotency.sent(request, content, caller, services.keyring)

        def streamed(pieces: Callable[[Session], Iterator[str]]) -> Iterator[str]:
            with services.sessions() as session:
                yield from pieces(use_tenant(session, caller.tenant_id, actor_of(caller.identity, request)))

        def handle(call: Call) -> Response:
            if if_match is not None and shown is not None:
                conditional.check(if_match, shown.handler(call, NoQuery(), Nothing()).response())
            reply = self.handler(call, query, values)
            if reply.stream is not None:
                return StreamingResponse(streamed(reply.stream), reply.status, reply.headers, reply.media_type)
            is_shown = shown is not None and type(reply.content) is shown.answers.get(reply.status)
            return conditional.tagged(reply.response()) if is_shown else reply.response()

        def once() -> Response:
            with services.sessions() as session:
                actor = actor_of(caller.identity, request)
                if opening is None or caller.tenant_id is None:
                    use_tenant(session, caller.tenant_id, actor)
                else:
                    use_bearer(session, opening, caller.tenant_id, actor)
                if if_match is not None:
                    conditional.see_one_moment(session)
                call = Call(
                    caller=caller,
                    session=session,
                    reader=Reader(services.engine, opening or InTenant(caller.tenant_id)),
                    path=request.path_params,
                    keyring=services.keyring,
                    now=services.clock(),
                    public_url=services.public_url,
                    voucher_url=services.voucher_url,
                    site=services.site,
                    redis=services.redis,
                    request=request,
                )
                response = idempotency.answer_once(session, sent, services.keyring, call.now, lambda: handle(call))
                if session.in_transaction():
                    session.commit()
            return response

        response = once() if if_match is None else conditional.until_alone(once)
        return conditional.unless_known(request, response) if shown is self else response

    def _body(self, request: Request, content: bytes) -> Input:
        if self.takes:
            return Upload.model_construct(content=content, media_type=body.media_type(request, self.takes))
        return validate(self.body, self._values(request, content))

    def _values(self, request: Request, content: bytes) -> Any:
        if not content and self.body is Nothing:
            return {}
        return body.parse(content, request.headers.get("content-type", ""))


def endpoint(right: Right, answers: Answers) -> Callable[[Callable[[Call], Reply]], Endpoint]:
    """For a handler that needs nothing but the path."""

    def wrap(handler: Callable[[Call], Reply]) -> Endpoint:
        return Endpoint(right, NoQuery, Nothing, answers, lambda call, _query, _body: handler(call), handler)

    return wrap


def with_query(right: Right, model: type[Q], answers: Answers) -> Callable[[Callable[[Call, Q], Reply]], Endpoint]:
    """For a handler that takes URL parameters."""

    def wrap(handler: Callable[[Call, Q], Reply]) -> Endpoint:
        def adapted(call: Call, query: Query, _body: Input) -> Reply:
            assert isinstance(query, model)
            return handler(call, query)

        return Endpoint(right, model, Nothing, answers, adapted, handler)

    return wrap


def with_body(right: Right, model: type[B], answers: Answers) -> Callable[[Callable[[Call, B], Reply]], Endpoint]:
    """For a handler that takes a JSON body."""

    def wrap(handler: Callable[[Call, B], Reply]) -> Endpoint:
        def adapted(call: Call, _query: Query, values: Input) -> Reply:
            assert isinstance(values, model)
            return handler(call, values)

        return Endpoint(right, NoQuery, model, answers, adapted, handler)

    return wrap


@dataclass(frozen=True, slots=True)
class Open:
    """A handler that asks for no token, with what it takes, if not JSON, and what it may answer."""

    answers: Answers
    body: Text | type[Input] | None
    source: Callable[[Request], Awaitable[Response]]

    async def answer(self, request: Request, _shown: Endpoint | None = None) -> Response:
        return await self.source(request)


def open_to_all(
    answers: Answers, body: Text | type[Input] | None = None
) -> Callable[[Callable[[Request], Awaitable[Response]]], Open]:
    """For a handler that does all by itself, and knows by itself who may."""
    return lambda handler: Open(answers, body, handler)


class Upload(Input):
    """A file that was sent, as it came."""

    content: bytes
    media_type: str


def with_upload(
    right: Right, model: type[Q], takes: tuple[str, ...], most_bytes: int, answers: Answers
) -> Callable[[Callable[[Call, Q, Upload], Reply]], Endpoint]:
    """For a handler that takes URL parameters and a file, of one of the media types."""

    def wrap(handler: Callable[[Call, Q, Upload], Reply]) -> Endpoint:
        def adapted(call: Call, query: Query, values: Input) -> Reply:
            assert isinstance(query, model)
            assert isinstance(values, Upload)
            return handler(call, query, values)

        return Endpoint(right, model, Nothing, answers, adapted, handler, takes, most_bytes)

    return wrap


class Resource:
    """The endpoints at one path, by method: an ASGI application."""

    def __init__(self, endpoints: Mapping[str, Endpoint | Open]) -> None:
        self.endpoints = dict(endpoints)
        if "GET" in self.endpoints:
            self.endpoints["HEAD"] = self.endpoints["GET"]
        self.shown: Endpoint | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._endpoint(request.method).answer(request, self.shown)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - every failure becomes an answer; problem_of logs those that are ours
            response = problem_of(error).response()
        await response(scope, receive, send)

    def _endpoint(self, method: str) -> Endpoint | Open:
        if method not in self.endpoints:
            allowed = ", ".join(sorted(self.endpoints))
            raise Problem(405, "method_not_allowed", f"This path takes {allowed}.", headers={"Allow": allowed})
        return self.endpoints[method]


def at(path: str, **endpoints: Endpoint | Open) -> Route:
    """A route: `at("/plans", GET=plans.index, POST=plans.create)`."""
    return Route(path, Resource(endpoints))


def relate(routes: Iterable[BaseRoute]) -> None:
    """Tells each resource what it is about: `/plans/{id}` what GET shows there, `/plans/{id}/verb` the same."""
    resources = {route.path: route.endpoint for route in routes if isinstance(route, Route)}
    for path, resource in resources.items():
        item = path if path.endswith("}") else path.rpartition("/")[0]
        owner = resources.get(item) if item.endswith("}") else None
        found = owner.endpoints.get("GET") if isinstance(owner, Resource) else None
        if isinstance(resource, Resource) and isinstance(found, Endpoint) and found.query is NoQuery:
            resource.shown = found


def _name_in_log(caller: Caller) -> None:
    structlog.contextvars.bind_contextvars(tenant_id=caller.tenant_id, admin_id=caller.identity.admin_id)


def _parameters(request: Request) -> dict[str, str]:
    """Raises Problem for a parameter that is given twice."""
    items = request.query_params.multi_items()
    parameters = dict(items)
    if len(parameters) < len(items):
        raise Problem(422, "invalid", "A parameter is given twice.")
    return parameters
