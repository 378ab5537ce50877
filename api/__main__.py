"""`python -m api`: the API in the foreground, until SIGTERM."""

import gc
import sys

import uvicorn

import logs
from api.app import create_app
from api.http_protocol import HTTP_OPTIONS, allow_connections
from api.one_processor import keep_on_one_processor
from api.websocket_protocol import UVICORN_OPTIONS
from isp.encryption import EncryptionError
from settings import Settings, SettingsError

# Little of what a request leaves behind is cyclic.
GC_THRESHOLDS = (20_000, 20, 100)


def main() -> None:
    try:
        settings = Settings.load()
        settings.database_dsn("api")
        settings.redis_dsn()
        app = create_app(settings)
    except (SettingsError, EncryptionError) as error:
        sys.exit(f"api: {error}")
    logs.configure(settings)
    allow_connections()
    keep_on_one_processor()
    # The collector walks through all that a thousand clients hold, and nobody is told anything meanwhile.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    uvicorn.run(
        app,
        host=settings.http_bind,
        port=settings.http_port,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # api/app.py knows whom to believe
        server_header=False,
        timeout_graceful_shutdown=10,
        **UVICORN_OPTIONS,
        **HTTP_OPTIONS,
    )


main()
