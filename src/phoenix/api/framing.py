"""What is asked of a request before any route sees it, and what every answer carries.

Two programs must never read one request differently: one Host that is a loopback name (a web page
cannot reach us by DNS rebinding), a path in UTF-8 whose slashes are slashes, a head of bounded
size. HEAD is answered as GET without its body, OPTIONS with what the path allows (RFC 9110,
section 9.3). Nothing leaves without a request id, and our own mistakes leave as a plain 500.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phoenix.api.problems import Malformed, malformed
from phoenix.base.ids import new_id

HEAD_BYTES_MAX = 16 * 1024
HEAD_FIELDS_MAX = 100
TARGET_BYTES_MAX = 8 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LOOPBACK = re.compile(r"(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?", re.I)

log = structlog.get_logger()


class Allowed:
    """Which methods each path of the API has; the framework names only the first it finds."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = [
            (compile_path(route.path)[0], route.methods or set())
            for route in routes
            if isinstance(route, Route)
        ]

    def at(self, path: str) -> str:
        """The value of `Allow` for `path`; empty when nothing is there."""
        found: set[str] = set()
        for regex, methods in self._routes:
            if regex.match(path):
                found |= methods
        if "GET" in found:
            found.add("HEAD")
        return ", ".join(sorted(found | {"OPTIONS"})) if found else ""


class Framing:
    """The outermost part of the application."""

    def __init__(self, app: ASGIApp, allowed: Allowed) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        wanted = request.headers.get("x-request-id", "")
        request.state.request_id = wanted if _REQUEST_ID.fullmatch(wanted) else new_id("req")
        request.state.allow = self._allowed.at(scope["path"])
        answer = _Answer(send, request.state.request_id, without_body=scope["method"] == "HEAD")
        try:
            _check(request)
        except Malformed as error:
            await malformed(request, error)(scope, receive, answer.send)
            return
        if scope["method"] == "OPTIONS" and request.state.allow:
            options = Response(status_code=204, headers={"Allow": request.state.allow})
            await options(scope, receive, answer.send)
            return
        if scope["method"] == "HEAD":
            request.state.head = True
            scope = {**scope, "method": "GET"}
        try:
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            return  # nobody is left to be answered
        except Exception:  # nothing else would tell it
            log.exception("request failed", request_id=request.state.request_id)
            if answer.begun:
                raise
            mistake = Malformed(500, "internal_error", "A mistake of Phoenix; its log tells more.")
            await malformed(request, mistake)(scope, receive, answer.send)


class _Answer:
    """An answer on its way out."""

    def __init__(self, send: Send, request_id: str, *, without_body: bool) -> None:
        self.begun = False
        self._send = send
        self._request_id = request_id
        self._without_body = without_body

    async def send(self, message: Message) -> None:
        """Pass one message on, the first with what every answer carries."""
        if message["type"] == "http.response.start":
            self.begun = True
            headers = list(message["headers"])
            if all(name.lower() != b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            headers.append((b"x-content-type-options", b"nosniff"))
            headers.append((b"x-request-id", self._request_id.encode()))
            message = {**message, "headers": headers}
        elif message["type"] == "http.response.body" and self._without_body:
            message = {**message, "body": b""}
        await self._send(message)


def _check(request: Request) -> None:
    scope = request.scope
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    if len(raw) + len(scope["query_string"]) > TARGET_BYTES_MAX:
        raise Malformed(414, "uri_too_long", f"The URL is longer than {TARGET_BYTES_MAX} bytes.")
    _check_head(scope["headers"])
    _check_host(request.headers.getlist("host"))
    _check_path(raw)


def _check_head(headers: Sequence[tuple[bytes, bytes]]) -> None:
    size = sum(len(name) + len(value) for name, value in headers)
    if size > HEAD_BYTES_MAX or len(headers) > HEAD_FIELDS_MAX:
        raise Malformed(
            431,
            "headers_too_large",
            f"At most {HEAD_FIELDS_MAX} header fields of {HEAD_BYTES_MAX} bytes together are read.",
        )


def _check_host(hosts: Sequence[str]) -> None:
    if len(hosts) != 1 or not hosts[0]:
        raise Malformed(400, "host_missing", "A request names one Host (RFC 9112, section 3.2).")
    if not _LOOPBACK.fullmatch(hosts[0]):
        raise Malformed(
            421,
            "misdirected_request",
            "This server answers on loopback names only.",
            remedy="Use 127.0.0.1 or localhost; from elsewhere, forward the port with ssh.",
        )


def _check_path(raw: bytes) -> None:
    path = raw.partition(b"?")[0]
    try:
        text = unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(400, "path_not_utf8", "The path is not UTF-8.") from error
    # An escaped slash would be one to some readers and a character of a name to others.
    if re.search(rb"%(2f|5c|00)", path, re.IGNORECASE) or "\\" in text:
        raise Malformed(404, "not_found", "There is nothing at that path.")
