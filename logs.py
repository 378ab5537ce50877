"""Logging to stderr: one JSON object a line; on a terminal, for reading.

`log = structlog.get_logger(__name__)`, then `log.info("what happened", job_id=7)`. Values are plain; a Secret shows as
'…'. What libraries log through `logging` comes out the same way.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

from settings import Settings

# What these say below WARNING is said better by our own lines.
# uvicorn.error would also write down the whole address of each WebSocket, with what should not be in it.
_QUIET = ("huey", "alembic", "httpx", "httpcore", "uvicorn.access", "uvicorn.error", "websockets")


def configure(settings: Settings) -> None:
    """Call it once per process, before the first line is logged."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        )
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _rendering() -> list[Processor]:
    if sys.stderr.isatty():
        # Local variables, which the default formatter shows, may be secrets.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
