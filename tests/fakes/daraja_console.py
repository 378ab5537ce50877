"""What tests ask the fake, below `/_fake`; daraja_control.py is the other end."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from json import dumps

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes import daraja_rules as rules
from tests.fakes.daraja_behaviour import behaviour_of
from tests.fakes.daraja_gateway import Gateway

Handler = Callable[[Request], Awaitable[Response]]


class Console:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.mpesa = gateway.mpesa

    def routes(self) -> list[Route]:
        posts: dict[str, Handler] = {
            "behaviour": self.behave,
            "rules": self.set_rules,
            "accounts": self.add_account,
            "apps": self.add_app,
            "tokens/invalidate": self.invalidate_tokens,
            "c2b": self.pay_by_hand,
        }
        gets: dict[str, Handler] = {"state": self.state, "idle": self.idle}
        return [
            *(Route(f"/_fake/{path}", handler, methods=["POST"]) for path, handler in posts.items()),
            *(Route(f"/_fake/{path}", handler, methods=["GET"]) for path, handler in gets.items()),
        ]

    async def state(self, _request: Request) -> Response:
        prompts = [
            {
                "checkout_request_id": prompt.checkout_request_id,
                "msisdn": prompt.msisdn,
                "amount_kes": prompt.amount_kes,
                "account_reference": prompt.account_reference,
                "prompted": prompt.behaviour.prompted,
                "result_code": prompt.result_code,
                "queries": prompt.queries,
                "push": prompt.push,
                "pushed_at": prompt.pushed_at,
            }
            for prompt in self.mpesa.prompts.values()
        ]
        state = {
            "payments": [asdict(payment) for payment in self.mpesa.payments],
            "prompts": prompts,
            "deliveries": [asdict(delivery) for delivery in self.mpesa.deliveries],
            "registrations": sorted(self.mpesa.registrations),
            "tokens_given": self.gateway.tokens_given,
            "faults": [asdict(fault) for fault in self.gateway.faults],
            "idle": self.mpesa.is_idle,
        }
        return Response(dumps(state, default=str), media_type="application/json")

    async def idle(self, _request: Request) -> Response:
        return JSONResponse({"idle": self.mpesa.is_idle})

    async def behave(self, request: Request) -> Response:
        told = await request.json()
        try:
            behaviour = behaviour_of(told["behaviour"])
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        if told["phone"] is not None:
            self.gateway.behaviours.by_phone[told["phone"]] = behaviour
        elif told["amount_kes"] is not None:
            self.gateway.behaviours.by_amount[told["amount_kes"]] = behaviour
        else:
            self.gateway.behaviours.default = behaviour
        return JSONResponse({})

    async def set_rules(self, request: Request) -> Response:
        told = await request.json()
        for owner, names in (
            (self.mpesa, ("duplicate_window_s", "one_prompt_per_phone")),
            (self.gateway, ("token_fault", "token_life_s")),
        ):
            for name in names:
                if name in told:
                    setattr(owner, name, told.pop(name))
        return PlainTextResponse(f"no such rule: {', '.join(told)}", 400) if told else JSONResponse({})

    async def add_account(self, request: Request) -> Response:
        told = await request.json()
        self.gateway.accounts[told["shortcode"]] = rules.Account(told["passkey"], frozenset(told["tills"]))
        return JSONResponse({})

    async def add_app(self, request: Request) -> Response:
        told = await request.json()
        self.gateway.apps[told["consumer_key"]] = told["consumer_secret"]
        return JSONResponse({})

    async def invalidate_tokens(self, _request: Request) -> Response:
        self.gateway.tokens.clear()
        return JSONResponse({})

    async def pay_by_hand(self, request: Request) -> Response:
        try:
            payment = await self.mpesa.pay_by_hand(**await request.json())
        except KeyError as error:
            return PlainTextResponse(f"no URLs are registered for {error}", 400)
        return JSONResponse({"receipt": payment.receipt if payment else None})
