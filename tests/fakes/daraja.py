"""A Daraja to test against: OAuth, STK push and query, C2B; real sockets, real callbacks, Safaricom's errors.

`with fake_daraja() as daraja:` runs one in a thread; `python -m tests.fakes.daraja` one that stays, and says which
phone behaves how. Both are told what to do over HTTP, below `/_fake` (see daraja_control.py).
"""

import json
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from tests.fakes.daraja_behaviour import PRESETS, phone_of
from tests.fakes.daraja_console import Console
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, STORE, TILL, DarajaControl
from tests.fakes.daraja_gateway import Gateway, Refused
from tests.fakes.daraja_mpesa import Mpesa


def create_app(*, duplicate_window_s: float = 120.0, one_prompt_per_phone: bool = True, seed: int = 0) -> Starlette:
    """The arguments are Mpesa's."""
    mpesa = Mpesa(duplicate_window_s=duplicate_window_s, one_prompt_per_phone=one_prompt_per_phone, seed=seed)
    gateway = Gateway(mpesa)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await mpesa.close()

    routes = [
        Route("/oauth/v1/generate", gateway.token),
        Route("/mpesa/stkpush/v1/processrequest", gateway.push, methods=["POST"]),
        Route("/mpesa/stkpushquery/v1/query", gateway.query, methods=["POST"]),
        Route("/mpesa/c2b/{version}/registerurl", gateway.register, methods=["POST"]),
        Route("/pulltransactions/v1/register", gateway.register_pull, methods=["POST"]),
        Route("/pulltransactions/v1/query", gateway.pull, methods=["POST"]),
        *Console(gateway).routes(),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={Refused: gateway.refuse})


@contextmanager
def fake_daraja(**options: Any) -> Iterator[DarajaControl]:
    """One in a thread of this process; `options` are of `create_app`."""
    with _listener(0) as listener:
        server = _server(create_app(**options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="fake-daraja", daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the fake Daraja did not start"
            assert time.monotonic() < deadline, "the fake Daraja did not start in time"
            time.sleep(0.01)
        try:
            yield DarajaControl(f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(20)


def _listener(port: int) -> socket.socket:
    # With its protocol named: asyncio turns Nagle's delays off for no other sockets.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def _server(app: Starlette) -> uvicorn.Server:
    # A push that is met with silence must not hold up the end.
    config = uvicorn.Config(
        app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=1, server_header=False
    )
    return uvicorn.Server(config)


@click.command()
@click.option("--port", default=8899, show_default=True, help="TCP port on 127.0.0.1; 0 takes a free one.")
@click.option("--duplicate-window", default=120.0, show_default=True, help="Seconds; 0 allows the same payment again.")
@click.option("--json", "as_json", is_flag=True, help="Say in one line of JSON where it is and what it takes.")
def main(port: int, duplicate_window: float, as_json: bool) -> None:
    """Runs a fake Daraja until Ctrl-C."""
    logging.basicConfig(level=logging.WARNING)
    with _listener(port) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if as_json:
            app = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}
            click.echo(json.dumps({"url": url, "paybill": PAYBILL, "credentials": app}))
        else:
            click.echo(f"Daraja on {url}")
            click.echo(f"consumer key {CONSUMER_KEY}  consumer secret {CONSUMER_SECRET}")
            click.echo(f"paybill {PAYBILL}  store {STORE} with till {TILL}  passkey {PASSKEY}")
            for name in PRESETS:
                click.echo(f"  {phone_of(name)}  {name}")
        _server(create_app(duplicate_window_s=duplicate_window)).run(sockets=[listener])


if __name__ == "__main__":
    main()
