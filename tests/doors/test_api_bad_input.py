"""Every class of bad input has one answer, changes nothing, and is never our mistake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import CREATE, Door

EXPERIMENTS = "/api/v1/experiments"
NOBODY = f"{EXPERIMENTS}/exp-abc12345"
JSON = {"Content-Type": "application/json"}
GOOD = json.dumps(CREATE)


def _with(**fields: str) -> bytes:
    """The good body with raw JSON texts as further fields."""
    more = "".join(f',"{name}":{text}' for name, text in fields.items())
    return (GOOD[:-1] + more + "}").encode()


def _arm(**fields: str) -> bytes:
    more = "".join(f',"{name}":{text}' for name, text in fields.items())
    arm = f'{{"pipeline":"process-slim-v1"{more}}}'
    return f'{{"baseline":{{"pipeline":"process-baseline-v1"}},"candidate":{arm}}}'.encode()


BODIES: dict[str, tuple[bytes, int, str | None]] = {
    "empty": (b"", 400, "body_missing"),
    "blank": (b" \n ", 400, "body_missing"),
    "cut off": (b'{"baseline":', 400, "json_syntax"),
    "text after it": (GOOD.encode() + b" {}", 400, "json_syntax"),
    "trailing comma": (GOOD[:-1].encode() + b",}", 400, "json_syntax"),
    "a list": (b"[]", 422, "validation_error"),
    "null": (b"null", 422, "validation_error"),
    "a number": (b"7", 422, "validation_error"),
    "no fields": (b"{}", 422, "validation_error"),
    "NUL in text": (_with(name='"a\\u0000bcd"'), 422, "validation_error"),
    "NUL in a key": (b'{"a\\u0000":1}', 422, "validation_error"),
    "NUL in free JSON": (_arm(parameters='{"a":"\\u0000"}'), 422, "validation_error"),
    "half a surrogate pair": (_with(name='"abc\\ud800"'), 400, "json_syntax"),
    "invalid UTF-8": (_with(name='"abc').replace(b"abc", b"abc\xff") + b'"', 400, "json_syntax"),
    "byte-order mark": (b"\xef\xbb\xbf" + GOOD.encode(), 400, "json_syntax"),
    "UTF-16 bytes": (GOOD.encode("utf-16"), 400, "json_syntax"),
    "integer beyond 64 bits": (_with(warmup_ticks=str(2**63)), 422, "validation_error"),
    "the same in free JSON": (_arm(parameters=f'{{"a":{2**63}}}'), 422, "validation_error"),
    "integer of 5,000 digits": (_with(warmup_ticks="1" * 5000), 400, "json_syntax"),
    "a fraction for a whole number": (_with(warmup_ticks="1.0"), 422, "validation_error"),
    "text for a whole number": (_with(warmup_ticks='"7"'), 422, "validation_error"),
    "underscores": (_with(warmup_ticks='"1_000"'), 422, "validation_error"),
    "true for a whole number": (_with(warmup_ticks="true"), 422, "validation_error"),
    "NaN": (_with(interval_s="NaN"), 400, "json_syntax"),
    "Infinity": (_with(interval_s="-Infinity"), 400, "json_syntax"),
    "text that says nan": (_with(interval_s='"nan"'), 422, "validation_error"),
    "a double too large": (_with(interval_s="1e400"), 422, "validation_error"),
    "the same double in free JSON": (_arm(parameters='{"a":1e400}'), 422, "validation_error"),
    "text for a boolean": (_with(redact='"yes"'), 422, "validation_error"),
    "a number for a boolean": (_with(redact="1"), 422, "validation_error"),
    "a number for text": (_with(name="1234"), 422, "validation_error"),
    "a key twice": (_with(name='"abc","name":"abd"'), 400, "json_duplicate_key"),
    "a key twice, deep": (_arm(parameters='{"a":1,"a":2}'), 400, "json_duplicate_key"),
    "an unknown field": (_with(zzz="1"), 422, "validation_error"),
    "a field of the server": (_with(state='"completed"'), 422, "validation_error"),
    "an unknown field of an arm": (_arm(zzz="1"), 422, "validation_error"),
    "nested 1,500 deep": (b"[" * 1500 + b"]" * 1500, 400, "json_syntax"),
    "nested 100,000 deep": (b"[" * 100_000, 400, "json_syntax"),
    "nested 40 deep in free JSON": (
        _arm(parameters='{"a":' + "[" * 40 + "]" * 40 + "}"), 400, "json_syntax",
    ),
    "three megabytes": (_with(description='"' + "x" * 3_000_000 + '"'), 413, "body_too_large"),
    "a list of 100,000": (_with(critical="[" + '"a",' * 99_999 + '"a"]'), 422, "validation_error"),
    "a name too short": (_with(name='"ab"'), 422, "validation_error"),
    "a name too long": (_with(name='"' + "x" * 101 + '"'), 422, "validation_error"),
    "a profile that is none": (_with(profile='"huge"'), 422, "validation_error"),
    "a negative share": (_with(required_reduction="-0.1"), 422, "validation_error"),
    "a share beyond 1": (_with(coverage_margin="1.5"), 422, "validation_error"),
    "a share nobody can meet": (_with(required_reduction="1"), 422, "spec_invalid"),
    "a margin without evidence": (_with(coverage_margin="0"), 422, "spec_invalid"),
    "too little evidence": (_with(evidence_ticks_max="1"), 422, "spec_invalid"),
    "a load that is none": (_with(load='{"profile":"nice"}'), 422, "validation_error"),
    "an unknown pipeline": (
        GOOD.replace("aggregated", "invented").encode(), 404, "unknown_pipeline",
    ),
    "a path for a pipeline": (
        GOOD.replace("process-aggregated-v1", "../../etc/passwd").encode(), 404, "unknown_pipeline",
    ),
    "an unknown parameter": (_arm(parameters='{"a":1}'), 422, "bad_parameter"),
    "a parameter of another type": (_arm(parameters='{"metrics":{}}'), 422, "bad_parameter"),
    "neither pipeline nor text": (
        b'{"baseline":{},"candidate":{"pipeline":"process-slim-v1"}}', 422, "invalid",
    ),
    "pipeline and text": (_arm(config='"receivers: {}"'), 422, "invalid"),
    "a critical rule of nothing": (_with(critical='["name:"]'), 422, "bad_critical_rule"),
    "a pattern that never ends": (_with(critical='["regex:(a+)+$("]'), 422, "bad_critical_rule"),
    "a configuration that is no YAML": (
        json.dumps({**CREATE, "candidate": {"config": "a: [", "file": "a.yaml"}}).encode(),
        422, "bad_configuration",
    ),
    "an alias bomb": (
        json.dumps({**CREATE, "candidate": {"config": "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n"
            for n in range(9)
        )}}).encode(),
        422, "bad_configuration",
    ),
}  # fmt: skip


def assert_refused(answer: httpx.Response, status: int, code: str | None) -> None:
    """A problem document (RFC 9457) that says what to do."""
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert said["status"] == status
    assert said["request_id"] == answer.headers["x-request-id"]
    assert said["code"] == said["error"]["code"]
    assert said["detail"]
    if code is not None:
        assert said["code"] == code, said
    assert len(answer.content) < 4000, "what was sent is not sent back"
    assert "Traceback" not in answer.text
    assert "pydantic" not in answer.text


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_body_has_its_answer_and_changes_nothing(free: Door, kind: str) -> None:
    body, status, code = BODIES[kind]
    before = free.census()
    answer = free.ask("POST", EXPERIMENTS, content=body, headers=JSON)
    assert_refused(answer, status, code)
    if status not in (413,):
        assert answer.json().get("remedy"), "it says what to do"
    assert free.census() == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json; charset=not-utf-8"},
        {"Content-Type": "application/jsonp"},
        {**JSON, "Content-Encoding": "gzip"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [EXPERIMENTS, f"{NOBODY}/stop"])
def test_only_plain_json_is_read(door: Door, path: str, headers: dict[str, str]) -> None:
    before = door.census()
    answer = door.ask("POST", path, content=GOOD.encode(), headers=headers)
    # An experiment that is not there is told first, whatever was sent to it.
    assert_refused(answer, *((415, None) if path == EXPERIMENTS else (answer.status_code, None)))
    assert answer.status_code in (404, 415)
    assert door.census() == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"reason":1}', b'{"reason":""}', b'{"why":"x"}', b'{"reason":null}'],
)
def test_a_bad_reason_does_not_stop_an_experiment(free: Door, body: bytes) -> None:
    made = free.create()
    before = free.census()
    answer = free.ask("POST", f"{EXPERIMENTS}/{made['id']}/stop", content=body, headers=JSON)
    assert_refused(answer, answer.status_code, None)
    assert answer.status_code in (400, 422)
    assert free.census() == before


@pytest.mark.parametrize("rest", ["", "/metrics", "/events", "/report"])
@pytest.mark.parametrize(
    "name",
    [
        "exp-abc12345", "abc", "9223372036854775808", "EXP-ABC12345", "exp-abc1234",
        "exp-abc12345x", "exp-abc12345%0a", "exp-abc1234%20", "..", "%2e%2e", "%252e",
        "exp-äbc1234", "exp-１bc12345",
        "'; DROP TABLE experiments; --", "x" * 2000, "{{7*7}}", "%1b[2J",
    ],
)  # fmt: skip
def test_what_is_no_experiment_is_not_found(door: Door, name: str, rest: str) -> None:
    assert_refused(door.ask("GET", f"{EXPERIMENTS}/{name}{rest}"), 404, None)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{EXPERIMENTS}/", 404),
        (f"{NOBODY}/", 404),
        ("/api/v1/experiments//", 404),
        ("//api/v1/experiments", 404),
        ("/api/v1/experiments%2fexp-abc12345", 404),
        (f"{EXPERIMENTS}/exp-abc12345%2Freport", 404),
        (f"{EXPERIMENTS}/exp-abc%0012345", 404),
        (f"{EXPERIMENTS}/exp-abc%5c12345", 404),
        (f"{EXPERIMENTS}/%ff", 400),
        (f"{EXPERIMENTS}/%c0%af", 400),
        (f"{EXPERIMENTS}/%ed%a0%80", 400),
        ("/api/v1/pipelines/%ff", 400),
        ("/api/v1/pipelines/..%2f..%2fetc%2fpasswd", 404),
        ("/api/v1/pipelines/%2e%2e", 404),
        ("/api/v1/pipelines/process-slim-v1%20", 404),
        ("/api/v2/experiments", 404),
        ("/docs", 404),
        ("/", 404),
    ],
)
def test_a_path_leads_to_its_own_route_or_nowhere(door: Door, path: str, status: int) -> None:
    url = httpx.URL("http://127.0.0.1:8080").copy_with(raw_path=path.encode())
    assert_refused(door.ask("GET", url), status, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("per_page=-1", 422, "validation_error"),
        ("per_page=0", 422, "validation_error"),
        ("per_page=101", 422, "validation_error"),
        ("per_page=1000000000", 422, "validation_error"),
        ("per_page=", 422, "validation_error"),
        ("per_page=1.0", 422, "validation_error"),
        ("per_page=1_0", 422, "validation_error"),
        ("per_page=%207", 422, "validation_error"),
        ("per_page=%EF%BC%97", 422, "validation_error"),
        ("page=9223372036854775808", 422, "validation_error"),
        ("page=" + "1" * 5000, 422, "validation_error"),
        ("state=over", 422, "validation_error"),
        ("state=pending%00", 422, "validation_error"),
        ("page=1&page=2", 400, "query_parameter_twice"),
        ("zz=1", 400, "unknown_query_parameter"),
        ("api_key=hunter2", 400, "unknown_query_parameter"),
        ("per-page=1", 400, "unknown_query_parameter"),
        ("zz=%ff", 400, "unknown_query_parameter"),
        ("x" * 9000, 414, "uri_too_long"),
    ],
)
def test_a_bad_query_is_refused(door: Door, query: str, status: int, code: str) -> None:
    answer = door.ask("GET", f"{EXPERIMENTS}?{query}")
    assert_refused(answer, status, code)
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("query", ["after=-2", "after=9223372036854775808", "limit=0", "limit=a"])
def test_a_bad_page_of_ticks_is_refused(free: Door, query: str) -> None:
    path = f"{EXPERIMENTS}/{free.create()['id']}/metrics"
    assert_refused(free.ask("GET", f"{path}?{query}"), 422, "validation_error")


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", NOBODY, "/api/v1/pipelines"])
def test_no_route_ignores_a_query_parameter(door: Door, path: str) -> None:
    assert_refused(door.ask("GET", f"{path}?token=abc"), 400, "unknown_query_parameter")


def test_a_post_has_no_query(free: Door) -> None:
    before = free.census()
    answer = free.ask("POST", f"{EXPERIMENTS}?dry_run=1", json=CREATE)
    assert_refused(answer, 400, "unknown_query_parameter")
    assert free.census() == before


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (EXPERIMENTS, "GET, HEAD, OPTIONS, POST"),
        (NOBODY, "GET, HEAD, OPTIONS"),
        (f"{NOBODY}/stop", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
        ("/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
def test_another_method_is_told_which_are_allowed(door: Door, path: str, allowed: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "FOO"):
        answer = door.ask(method, path)
        assert_refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == allowed
    options = door.ask("OPTIONS", path)
    assert (options.status_code, options.headers["allow"]) == (204, allowed)
    assert options.content == b""


def test_head_is_get_without_its_body(free: Door) -> None:
    made = free.create()["id"]
    for path in (EXPERIMENTS, f"{EXPERIMENTS}/{made}", f"{EXPERIMENTS}/{made}/events", "/health"):
        answer = free.ask("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert free.ask("HEAD", NOBODY).status_code == 404
    assert free.ask("HEAD", f"{EXPERIMENTS}/{made}/stop").status_code == 405


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "phoenix.example"}, 421, "misdirected_request"),
        ({"Host": "127.0.0.1.phoenix.example"}, 421, "misdirected_request"),
        ({"Host": "localhost\n"}, 421, "misdirected_request"),
        ({"X-Long": "x" * 20_000}, 431, "headers_too_large"),
        ({f"X-{n}": "" for n in range(150)}, 431, "headers_too_large"),
    ],
    ids=["another host", "a host like ours", "a host and more", "a long field", "many fields"],
)
def test_a_bad_head_is_refused(door: Door, headers: dict[str, str], status: int, code: str) -> None:
    assert_refused(door.ask("GET", "/health", headers=headers), status, code)


def test_headers_that_claim_to_be_somebody_change_nothing(free: Door) -> None:
    spoofed = {"X-Forwarded-For": "1.2.3.4", "X-User-Id": "root", "X-HTTP-Method-Override": "PUT"}
    answer = free.ask("POST", EXPERIMENTS, json=CREATE, headers=spoofed)
    assert answer.json()["created_by"] == "local"
    strange = free.ask("GET", "/health", headers={"X-Request-Id": "a b\tc"})
    assert strange.headers["x-request-id"].startswith("req_")


def test_whatever_is_accepted_the_answer_is_json(door: Door) -> None:
    answer = door.ask("GET", EXPERIMENTS, headers={"Accept": "application/xml"})
    assert answer.headers["content-type"] == "application/json"


def test_text_that_some_program_would_run_is_kept_as_text(free: Door) -> None:
    hostile = "'; DROP TABLE experiments; -- =cmd() {{7*7}} \x1b[2J \u202egnp.exe <script>"
    made = free.create(description=hostile)
    assert free.ask("GET", f"{EXPERIMENTS}/{made['id']}").json()["description"] == hostile


async def _forever() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65536


def test_a_body_without_end_is_cut(door: Door) -> None:
    answer = door.ask("POST", EXPERIMENTS, content=_forever(), headers=JSON)
    assert_refused(answer, 413, "body_too_large")
    assert answer.headers["connection"] == "close"


scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=60)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4)
    ),
    max_leaves=12,
)
known = st.sampled_from([
    "baseline", "candidate", "name", "description", "profile", "critical", "interval_s",
    "warmup_ticks", "evidence_ticks_max", "required_reduction", "coverage_margin",
    "min_recall_top_k", "load", "redact", "allow_lost_totals",
])  # fmt: skip
plausible = (
    scalars
    | st.floats(0, 1)
    | st.integers(0, 10_000)
    | st.lists(st.text(max_size=30).map(lambda text: f"regex:{text}"), max_size=3)
    | st.fixed_dictionaries(
        {
            "pipeline": st.sampled_from(["process-slim-v1", "process-aggregated-v1"]),
            "parameters": st.dictionaries(st.text(max_size=12), anything, max_size=2),
        }
    )
    | st.fixed_dictionaries({"config": st.text(max_size=200)})
    | st.sampled_from(["demo", "standard", {"profile": "realistic"}])
)


@settings(
    max_examples=250, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(changed=st.dictionaries(known, plausible, max_size=5), more=anything)
def test_no_body_whatever_is_our_mistake(door: Door, changed: dict[str, Any], more: Any) -> None:
    for body in ({**CREATE, **changed}, {**changed, "x": more}, more):
        before = door.census()
        # Python writes NaN and lone surrogates as JSON does not; both are of interest.
        answer = door.ask("POST", EXPERIMENTS, content=json.dumps(body).encode(), headers=JSON)
        assert answer.status_code < 500, (answer.text, body)
        if answer.status_code == 201:
            door.cancel_all()
        else:
            assert door.census() == before
            assert answer.headers["content-type"] == "application/problem+json"


@settings(
    max_examples=150, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(body=st.binary(max_size=200))
def test_no_bytes_whatever_are_our_mistake(door: Door, body: bytes) -> None:
    answer = door.ask("POST", EXPERIMENTS, content=body, headers=JSON)
    assert answer.status_code in (400, 422)
