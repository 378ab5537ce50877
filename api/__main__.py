"""`python -m api`: the API in the foreground, until SIGTERM."""

import sys

import uvicorn

import logs
from api.app import create_app
from api.http_protocol import HTTP_OPTIONS, allow_connections
from api.one_processor import keep_on_one_processor
from api.websocket_protocol import UVICORN_OPTIONS
from isp.encryption import EncryptionError
from settings import Settings, SettingsError


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
