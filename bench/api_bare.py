"""The ceiling that the API is measured against: the list of subscribers by Starlette and psycopg, and nothing else.

No token, no tenant, no checks, no cursor to verify, no log; the same rows in the same JSON, by a role that sees all
tenants. `python -m bench.api_bare`.
"""

import threading

import psycopg
import uvicorn
from psycopg.rows import dict_row
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from api.one_processor import keep_on_one_processor
from settings import Settings

PATH = "/subscribers"
_STATEMENT = (
    "SELECT id, name, msisdn, email, note, created_at::text, archived_at::text FROM subscriber"
    " WHERE tenant_id = %s AND archived_at IS NULL AND id > %s ORDER BY id LIMIT 51"
)
_of_thread = threading.local()


def subscribers(request: Request) -> JSONResponse:
    """In Starlette's thread pool, a connection for each of its threads."""
    connection = getattr(_of_thread, "connection", None)
    if connection is None:
        dsn = Settings.load().database_dsn("platform")
        connection = _of_thread.connection = psycopg.connect(dsn, autocommit=True, row_factory=dict_row)
    after = int(request.query_params.get("after", "0"))
    rows = connection.execute(_STATEMENT, (int(request.query_params["tenant_id"]), after)).fetchall()
    return JSONResponse({"items": rows[:50], "next": rows[49]["id"] if len(rows) > 50 else None})


if __name__ == "__main__":
    keep_on_one_processor()  # as the API is; its threads serve half as many requests again by that
    uvicorn.run(
        Starlette(routes=[Route(PATH, subscribers)]),
        host="127.0.0.1",
        port=Settings.load().radius_auth_port,  # free: there is no FreeRADIUS
        log_config=None,
        access_log=False,
    )
