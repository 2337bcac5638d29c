"""The HTTP client behind the noun commands: one place that knows where the API is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from phoenix.base.errors import Invalid, PhoenixError, Unavailable
from phoenix.cli.exits import category_of

if TYPE_CHECKING:
    import httpx


class NoServer(Unavailable):
    """No Phoenix is running here."""


class Client:
    """Calls the API and raises our errors."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def _open(self) -> httpx.Client:
        import httpx

        try:
            return httpx.Client(
                base_url=self._endpoint, timeout=httpx.Timeout(10.0, read=30.0), trust_env=False
            )
        except httpx.InvalidURL as error:
            raise Invalid(
                "PHOENIX_API_ENDPOINT is not a URL.", remedy="For example: http://127.0.0.1:8080"
            ) from error

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """One request; its decoded JSON answer.

        Raises:
            NoServer: nothing answers at the endpoint.
            Invalid: the request holds what JSON has no word for.
            PhoenixError: the category of the problem document that came back.
        """
        import httpx

        try:
            with self._open() as http:
                answer = http.request(method, path, **kwargs)
        except httpx.HTTPError as error:
            raise _unreachable(self._endpoint) from error
        except (TypeError, ValueError) as error:
            raise Invalid(
                f"The request cannot be written as JSON: {error}.",
                remedy="Give text, finite numbers, true or false, or lists of them.",
            ) from error
        if not answer.is_success:
            raise _problem(answer.status_code, answer.content)
        try:
            return answer.json()
        except ValueError as error:
            raise NoServer(
                f"What answers at {_shown(self._endpoint)} is not Phoenix.",
                remedy="Check PHOENIX_API_ENDPOINT.",
            ) from error

    def files(self, paths: Iterable[str]) -> Iterator[bytes]:
        """The bytes at each path, one after another over one connection.

        Raises:
            NoServer: nothing answers at the endpoint.
            PhoenixError: the category of the problem document that came back.
        """
        import httpx

        try:
            with self._open() as http:
                for path in paths:
                    answer = http.get(path)
                    if not answer.is_success:
                        raise _problem(answer.status_code, answer.content)
                    yield answer.content
        except httpx.HTTPError as error:
            raise _unreachable(self._endpoint) from error

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Server-sent events (WHATWG HTML, section 9.2) as `(event, data)`, to their end."""
        import httpx

        try:
            with (
                self._open() as http,
                http.stream("GET", path, timeout=httpx.Timeout(10.0, read=60.0)) as answer,
            ):
                if not answer.is_success:
                    raise _problem(answer.status_code, answer.read())
                event = "message"
                for line in answer.iter_lines():
                    if line.startswith("event:"):
                        event = line[6:].strip()
                    elif line.startswith("data:"):
                        yield event, json.loads(line[5:])
                    elif not line:
                        event = "message"
        except httpx.HTTPError as error:
            raise _unreachable(self._endpoint) from error


def experiment_path(experiment_id: str, rest: str = "") -> str:
    """The path of an experiment, whatever was given for its identifier."""
    return f"/api/v1/experiments/{quote(experiment_id, safe='')}{rest}"


def connect(data_dir: Path | None = None) -> Client:
    """A client for the endpoint named in the environment, or of the Phoenix that is up here.

    Raises:
        NoServer: no endpoint is set and no state file tells of one.
    """
    endpoint = os.environ.get("PHOENIX_API_ENDPOINT") or _endpoint_from_state(data_dir)
    if not endpoint:
        raise NoServer(remedy="Start it with: phoenix up")
    return Client(endpoint)


def _endpoint_from_state(data_dir: Path | None) -> str | None:
    from phoenix.settings import data_dir as default_data_dir

    state = (data_dir or default_data_dir()) / "state.json"
    try:
        port = json.loads(state.read_text())["ports"]["api"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"http://127.0.0.1:{port}"


def _unreachable(endpoint: str) -> NoServer:
    return NoServer(
        f"Nothing answers at {_shown(endpoint)}.",
        remedy="Start it with: phoenix up   (or set PHOENIX_API_ENDPOINT)",
    )


def _shown(endpoint: str) -> str:
    """The endpoint without a user and a password."""
    scheme, slashes, rest = endpoint.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


def _problem(status: int, body: bytes) -> PhoenixError:
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    code = str(document.get("code", ""))
    category = PhoenixError if code == "internal_error" else category_of(status)
    return category(
        str(document.get("detail") or document.get("title") or f"The server answered {status}."),
        remedy=str(document["remedy"]) if document.get("remedy") else None,
        code=code or category.code,  # of the class that refused, which only the server knows
    )
