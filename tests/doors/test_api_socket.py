"""What no HTTP library would send, over a bare socket to the real server."""

from __future__ import annotations

import socket
import time

import pytest

from phoenix.api import bodies
from phoenix.settings import LOOPBACK

HEAD = b"Host: 127.0.0.1\r\nContent-Type: application/json\r\n"
CREATE = b"POST /api/v1/experiments HTTP/1.1\r\n" + HEAD


def said(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Everything that comes back until the server closes, or is silent for a while."""
    with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        got = b""
        try:
            while chunk := connection.recv(65536):
                got += chunk
                if b"\r\n\r\n" in got and b"connection: close" not in got.lower():
                    connection.settimeout(0.3)
        except TimeoutError:
            pass
        except ConnectionResetError:
            assert got, "closed without an answer"
        return got


def status(answer: bytes) -> int:
    """Of the first answer."""
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("request_bytes", "wanted"),
    [
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {200}),
        (b"GET /health HTTP/1.1\r\n\r\n", {400}),
        (b"GET /health HTTP/1.0\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: 127.0.0.1\r\n\r\n", {400}),
        (b"GET /api/v1/../../health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {404}),
        (b"GET http://phoenix.example/health HTTP/1.1\r\nHost: phoenix.example\r\n\r\n", {421}),
        (b"FOO /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {405}),
        (b"GET /health\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {400, 404}),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\rb\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n", {400}),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", {431}),
        (b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", {400}),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {414}),
        (CREATE + b"Content-Length: -1\r\n\r\n", {400}),
        (CREATE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
        (CREATE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (CREATE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
        (CREATE + b"Idempotency-Key: a\r\n" * 2 + b"Content-Length: 2\r\n\r\n{}", {400}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n", {400}),
        (b"\x00\x01\x02garbage\r\n\r\n", {400}),
    ],
)  # fmt: skip
def test_every_request_has_an_answer(port: int, request_bytes: bytes, wanted: set[int]) -> None:
    answer = said(port, request_bytes)
    assert status(answer) in wanted, answer[:500]
    assert b"server:" not in answer.lower(), "the answer does not tell what answers"


def test_a_body_that_does_not_come_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_WITHIN_S", 0.3)
    answer = said(port, CREATE + b"Content-Length: 100\r\n\r\n{", pause_s=1.0)
    assert status(answer) == 408
    assert b"body_too_slow" in answer


def test_a_client_that_leaves_early_harms_nobody(port: int) -> None:
    for _ in range(20):
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
            connection.sendall(CREATE + b"Content-Length: 100\r\n\r\n{")
    assert status(said(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")) == 200


def test_idle_connections_do_not_keep_others_out(port: int) -> None:
    idle = [socket.create_connection((LOOPBACK, port), timeout=5) for _ in range(300)]
    try:
        assert status(said(port, b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")) == 200
    finally:
        for connection in idle:
            connection.close()
