"""Logging to stderr: one JSON object a line; on a terminal, for reading.

`log = structlog.get_logger(__name__)`, then `log.info("what happened", job_id=7)`. Values are plain; a Secret shows as
'…'. What libraries log through `logging` comes out the same way.
"""

import logging
import sys
from contextlib import suppress

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
    rendering = _rendering()
    level = settings.log_level.upper()
    # Not through `logging`, which takes twice as long: a request's line was a sixth of what the API's loop does.
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Lines(structlog.WriteLogger):
    """A module's lines, to stderr. One that can not be written is lost: no request or job ends for it."""

    def __init__(self, name: str = "root") -> None:
        super().__init__(sys.stderr)
        self.name = name

    def msg(self, message: str) -> None:
        with suppress(OSError, ValueError):  # a pipe or a file that was closed, a full disk
            super().msg(message)

    debug = info = warning = error = critical = log = msg


def _rendering() -> list[Processor]:
    if sys.stderr.isatty():
        # Local variables, which the default formatter shows, may be secrets.
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
    ]
