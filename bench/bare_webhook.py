"""The barest webhook there can be on the same PostgreSQL: a body, an insert, a commit, an answer.

`python -m bench.bare_webhook PORT DSN`. It knows no token, checks nothing, has no log, and nobody is told of the body.
"""

import sys
import threading

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def create_app(dsn: str) -> Starlette:
    own = threading.local()

    def store(body: bytes) -> None:
        if not hasattr(own, "connection"):
            own.connection = psycopg.connect(dsn)
        own.connection.execute("INSERT INTO bare_webhook (body) VALUES (%s)", (body,))
        own.connection.commit()

    async def webhook(request: Request) -> JSONResponse:
        await run_in_threadpool(store, await request.body())
        return JSONResponse({"ResultCode": 0, "ResultDesc": "Accepted"})

    return Starlette(routes=[Route("/{path:path}", webhook, methods=["POST"])])


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[2]), port=int(sys.argv[1]), log_config=None, access_log=False)
