"""Logs: JSON lines where programs read them, and nothing secret in any of them.

structlog does the work; the redaction here is a second fence, for keys that look like secrets.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_KEY = re.compile(r"token|secret|password|authorization|api_?key|dsn|database_url", re.I)
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@/\s]+@")
HIDDEN = "[hidden]"


def setup(level: str, role: str) -> None:
    """Configure logging once for this process."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="%(message)s")
    # Clients log every request at INFO; a loop would fill the disk with them.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "psycopg.pool"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,  # after tracebacks became text, since they quote what went wrong
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        # not cached: a logger keeps to the stream that is configured when it speaks
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(role=role)


def hide_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values of keys that name secrets, and passwords inside URLs."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = HIDDEN
        elif isinstance(value, str):
            event[key] = _URL_PASSWORD.sub(rf"\1:{HIDDEN}@", value)
    return event
