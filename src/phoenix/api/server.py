"""The server in front of the application, with bounds on what a connection may cost.

h11 reads requests by the letter of RFC 9112 and bounds the head of a request; the faster parser
does not bound it, and answers requests that name no Host.
"""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from phoenix.api.framing import HEAD_BYTES_MAX, TARGET_BYTES_MAX

KEEP_ALIVE_S = 10
STOP_WITHIN_S = 2


def server(app: FastAPI, *, host: str, port: int) -> uvicorn.Server:
    """A server that is not started yet."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http="h11",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever speaks to us is on this host, and what it says of others is not believed.
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
            # Heads between our own bound and this one are answered with a reason.
            h11_max_incomplete_event_size=4 * (HEAD_BYTES_MAX + TARGET_BYTES_MAX),
        )
    )
