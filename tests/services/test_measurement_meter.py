"""The meter over real sockets and a real PostgreSQL: what it answers, counts, keeps and forgets."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import zstandard
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from phoenix.base.clock import SystemClock
from phoenix.host.ports import PortTaken
from phoenix.measurement.compression import BODY_BYTES_MAX
from phoenix.measurement.errors import AlreadySubscribed
from phoenix.measurement.meter import Meter
from phoenix.measurement.model import METER_RESTARTED, Subscription
from phoenix.measurement.server import MeterApp, serve, server
from phoenix.measurement.service import MeasurementService, token_sha256
from phoenix.pipelines.critical import parse
from phoenix.storage.database import Database, Transaction
from phoenix.storage.errors import DatabaseUnavailable
from phoenix.testing.otlp import aged, collector_bytes, processes

pytestmark = pytest.mark.database

ID = "exp-abc12345"
TOKENS = {"baseline": "secret-of-baseline", "candidate": "secret-of-candidate"}
CLOCK = SystemClock()


@pytest.fixture
def database(run: asyncio.Runner, fresh_database_url: str) -> Iterator[Database]:
    made = Database(fresh_database_url)
    run.run(made.open())
    yield made
    run.run(made.close())


def subscription(interval_s: float = 1.0) -> Subscription:
    return Subscription(
        experiment_id=ID,
        interval_s=interval_s,
        critical=(parse("nginx"), parse("regex:^postgres")),
        token_sha256={
            "baseline": token_sha256(TOKENS["baseline"]),
            "candidate": token_sha256(TOKENS["candidate"]),
        },
        states={"baseline": "alive", "candidate": "alive"},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@asynccontextmanager
async def meter_running(database: Database) -> AsyncIterator[tuple[Meter, httpx.AsyncClient]]:
    meter = Meter(database, CLOCK)
    serving = server(meter, host="127.0.0.1", port=0)
    stop = asyncio.Event()
    counting = asyncio.create_task(meter.run(stop))
    running = asyncio.create_task(serving._serve())
    while not serving.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    port = serving.servers[0].sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield meter, client
    finally:
        serving.should_exit = True
        await running
        stop.set()
        await counting


def headers(arm: str, **more: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {TOKENS[arm]}",
        "Content-Type": "application/x-protobuf",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def url(arm: str) -> str:
    return f"/{ID}/{arm}/v1/metrics"


async def subscribe(database: Database, interval_s: float = 1.0) -> MeasurementService:
    service = MeasurementService(database, CLOCK)
    async with database.transaction() as tx:
        await service.subscribe(tx, subscription(interval_s))
    return service


async def scrapes(
    client: httpx.AsyncClient, count: int, *, begin: int = 0, interval_s: float = 1.0,
    lost: int | None = None,
) -> None:  # fmt: skip
    """Both arms send `count` scrapes; the candidate loses the process of number `lost`."""
    host = processes(20, seed=11, started_ns=time.time_ns())
    for number in range(begin, begin + count):
        now = aged(host, float(number))
        at_ns = time.time_ns()
        for arm in ("baseline", "candidate"):
            told = [p for i, p in enumerate(now) if arm == "baseline" or i != lost]
            body = gzip.compress(collector_bytes(told, at_ns))
            answer = await client.post(
                url(arm), content=body, headers=headers(arm, content_encoding="gzip")
            )
            assert (answer.status_code, answer.content) == (200, b"")
        await asyncio.sleep(interval_s)


def test_ticks_become_rows_with_both_arms_names_and_totals(
    run: asyncio.Runner, database: Database
) -> None:
    async def story() -> None:
        service = await subscribe(database, 0.4)
        async with meter_running(database) as (_, client):
            await scrapes(client, 5, interval_s=0.4, lost=3)
            await asyncio.sleep(0.9)
            async with database.transaction() as tx:
                await service.unsubscribe(tx, ID)
            await asyncio.sleep(1.5)
        ticks = await service.ticks(ID)
        assert [tick.excluded for tick in ticks] == [None] * 5
        assert [t.tick for t in ticks] == list(range(ticks[0].tick, ticks[0].tick + 5))
        last = ticks[-1]
        assert last.baseline and last.candidate
        assert (last.baseline.points, last.candidate.points) == (140, 133)
        assert last.baseline.increments is not None
        assert last.baseline.increments["process.cpu.time"] > 0
        assert last.candidate.levels["process.count"] == 19
        assert ticks[0].baseline is not None and ticks[0].baseline.increments is None
        assert await service.ticks(ID, after=last.tick) == []
        assert await service.latest(ID) == [last]
        names = await service.names(ID)
        assert {n.name for n in names if n.candidate_ticks < n.baseline_ticks} <= {
            n.name for n in names
        }
        assert all(n.baseline_ticks == 5 for n in names)

    run.run(story())


def test_a_restarted_meter_goes_on_and_marks_its_first_tick(
    run: asyncio.Runner, database: Database
) -> None:
    async def story() -> None:
        service = await subscribe(database, 0.4)
        async with meter_running(database) as (_, client):
            await scrapes(client, 3, interval_s=0.4)
            await asyncio.sleep(0.8)
        before = await service.ticks(ID)
        async with meter_running(database) as (_, client):
            await asyncio.sleep(0.2)
            await scrapes(client, 3, begin=10, interval_s=0.4)
            await asyncio.sleep(0.8)
        after = await service.ticks(ID, after=before[-1].tick)
        assert after[0].excluded == METER_RESTARTED
        assert after[0].baseline is not None and after[0].baseline.increments is None
        assert [tick.excluded for tick in after[1:]] == [None] * (len(after) - 1)
        assert after[-1].baseline is not None
        assert after[-1].baseline.series_run == pytest.approx(140, rel=0.05)

    run.run(story())


def test_every_bad_body_is_the_senders_mistake_and_counts_nothing(
    run: asyncio.Runner, database: Database
) -> None:
    body = collector_bytes(processes(5, seed=1, started_ns=time.time_ns()), time.time_ns())
    bomb = gzip.compress(b"\0" * (80 << 20), 9)
    zstd_bomb = zstandard.compress(b"\0" * (80 << 20))
    corpus: list[tuple[bytes, dict[str, str], int]] = [
        (body[:-3], {}, 400),
        (body + b"\xff", {}, 400),
        (b"\x0a\xff\xff\xff\xff\x0f", {}, 400),
        (b"GET / HTTP/1.1\r\n\r\n", {}, 400),
        (gzip.compress(body)[:-4], {"content_encoding": "gzip"}, 400),
        (body, {"content_encoding": "gzip"}, 400),
        (b"", {"content_encoding": "gzip"}, 400),
        (b"", {"content_encoding": "zstd"}, 400),
        (body, {"content_encoding": "zstd"}, 400),
        (bomb, {"content_encoding": "gzip"}, 400),
        (zstd_bomb, {"content_encoding": "zstd"}, 400),
        (body, {"content_encoding": "br"}, 415),
        (body, {"content_type": "text/plain"}, 415),
        (body, {"content_type": ""}, 415),
        (body, {"content_type": "application/json"}, 400),
        (b"{", {"content_type": "application/json"}, 400),
        (b"[" * 50_000, {"content_type": "application/json"}, 400),
        (b"", {"content_type": "application/json"}, 400),
        (b"\0" * (BODY_BYTES_MAX + 1), {}, 413),
    ]

    async def story() -> None:
        await subscribe(database)
        async with meter_running(database) as (meter, client):
            for content, more, expected in corpus:
                sent = headers("baseline", **more)
                if "content_type" in more:
                    sent["Content-Type"] = more["content_type"]
                    del sent["content-type"]
                answer = await client.post(url("baseline"), content=content, headers=sent)
                assert answer.status_code == expected, (content[:40], more, answer.content)
                if more.get("content_type") == "application/json":
                    assert answer.json()["code"] == 3
                else:
                    assert answer.headers["content-type"] == "application/x-protobuf"
                    assert answer.content[:1] == b"\x08"  # google.rpc.Status, field 1
            assert meter.metrics.points.labels("baseline")._value.get() == 0
            empty = await client.post(url("baseline"), content=b"", headers=headers("baseline"))
            assert empty.status_code == 200  # an empty message is a valid request of no points

    run.run(story())


def test_who_may_not_send_is_told_and_not_read(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        await subscribe(database)
        async with meter_running(database) as (_, client):

            async def status(path: str, **sent: str) -> int:
                answer = await client.post(
                    path, content=b"", headers={"Content-Type": "application/x-protobuf", **sent}
                )
                assert b"secret-of" not in answer.content
                return answer.status_code

            def bearer(text: str) -> dict[str, str]:
                return {"Authorization": f"Bearer {text}"}

            assert await status(url("baseline")) == 401
            assert await status(url("baseline"), Authorization="Basic abc") == 401
            assert await status(url("baseline"), **bearer("wrong")) == 403
            assert await status(url("baseline"), **bearer(TOKENS["candidate"])) == 403
            assert await status(url("third"), **bearer(TOKENS["baseline"])) == 404
            assert await status("/exp-zzzzzzzz/baseline/v1/metrics", **bearer("x")) == 404
            assert (await client.get(url("baseline"))).status_code == 405
            assert (await client.post("/v1/metrics")).status_code == 404
            assert (await client.get("/nowhere")).status_code == 404
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/ready")).status_code == 200
            told = (await client.get("/metrics")).text
            assert 'phoenix_meter_requests_total{status="403"} 2.0' in told

    run.run(story())


def test_a_meter_that_never_saw_its_database_says_try_again(run: asyncio.Runner) -> None:
    async def story() -> None:
        away = Database("postgresql://nobody@127.0.0.1:1/none")
        await away.open()
        try:
            meter = Meter(away, CLOCK)
            serving = server(meter, host="127.0.0.1", port=0)
            running = asyncio.create_task(serving._serve())
            while not serving.started:  # noqa: ASYNC110 - uvicorn offers no event
                await asyncio.sleep(0.01)
            port = serving.servers[0].sockets[0].getsockname()[1]
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                answer = await client.post(url("baseline"), headers=headers("baseline"))
                ready = await client.get("/ready")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert ready.status_code == 503
            serving.should_exit = True
            await running
        finally:
            await away.close()

    run.run(story())


def test_json_and_zstd_count_like_protobuf(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        await subscribe(database)
        from google.protobuf import json_format

        body = collector_bytes(processes(5, seed=1, started_ns=time.time_ns()), time.time_ns())
        text = json_format.MessageToJson(ExportMetricsServiceRequest.FromString(body))
        async with meter_running(database) as (meter, client):
            sent = {**headers("baseline"), "Content-Type": "application/json; charset=utf-8"}
            answer = await client.post(url("baseline"), content=text, headers=sent)
            assert (answer.status_code, json.loads(answer.content)) == (200, {})
            answer = await client.post(
                url("candidate"),
                content=zstandard.compress(body),
                headers=headers("candidate", content_encoding="zstd"),
            )
            assert ExportMetricsServiceResponse.FromString(answer.content) == (
                ExportMetricsServiceResponse()
            )
            counted = meter.metrics.points
            assert counted.labels("baseline")._value.get() == 35
            assert counted.labels("candidate")._value.get() == 35

    run.run(story())


def test_subscribing_again_is_harmless_and_with_other_terms_is_refused(
    run: asyncio.Runner, database: Database
) -> None:
    async def story() -> None:
        service = await subscribe(database)
        await subscribe(database)
        with pytest.raises(AlreadySubscribed):
            async with database.transaction() as tx:
                await service.subscribe(tx, subscription(2.0))

    run.run(story())


def test_a_database_that_goes_away_costs_no_tick(
    run: asyncio.Runner, database: Database, fresh_database_url: str
) -> None:
    class Flaky(Database):
        """The real database behind a switch."""

        away = False

        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[Transaction]:
            if self.away:
                raise DatabaseUnavailable
            async with super().transaction() as tx:
                yield tx

    async def story() -> None:
        service = await subscribe(database, 0.3)
        flaky = Flaky(fresh_database_url)
        await flaky.open()
        try:
            async with meter_running(flaky) as (_, client):
                await scrapes(client, 2, interval_s=0.3)
                flaky.away = True
                await scrapes(client, 5, begin=2, interval_s=0.3)
                other = "/exp-zzzzzzzz/baseline/v1/metrics"
                await asyncio.sleep(1.1)
                answer = await client.post(other, headers=headers("baseline"))
                assert answer.status_code == 503
                written = len(await service.ticks(ID))
                flaky.away = False
                await asyncio.sleep(2.0)
            ticks = await service.ticks(ID)
        finally:
            await flaky.close()
        assert written < 5
        sent = [tick for tick in ticks if tick.excluded is None]
        assert len(sent) == 7
        assert all(tick.baseline and tick.baseline.points == 140 for tick in sent)

    run.run(story())


def test_a_full_buffer_asks_the_sender_to_wait(
    run: asyncio.Runner, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        await subscribe(database)
        async with meter_running(database) as (_, client):
            assert (await client.post(url("baseline"), headers=headers("baseline"))).is_success
            monkeypatch.setattr("phoenix.measurement.meter.UNWRITTEN_TICKS_MAX", 0)
            answer = await client.post(url("baseline"), headers=headers("baseline"))
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert (await client.get("/ready")).status_code == 503

    run.run(story())


def test_a_body_that_dribbles_is_cut_off(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        await subscribe(database)
        meter = Meter(database, CLOCK)
        await meter.refresh()
        app = MeterApp(meter, body_timeout_s=0.2)
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        sent = [(k.lower().encode(), v.encode()) for k, v in headers("baseline").items()]
        scope = {"type": "http", "method": "POST", "path": url("baseline"), "headers": sent}
        await app(scope, receive, send)
        assert answers[0]["status"] == 408

    run.run(story())


def test_a_taken_port_is_told_with_its_remedy(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            held.listen()
            port = held.getsockname()[1]
            with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
                await serve(database, CLOCK, host="127.0.0.1", port=port)

    run.run(story())


def test_tokens_are_stored_as_hashes_only(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        await subscribe(database)
        async with database.transaction() as tx:
            rows = await tx.fetch_all("SELECT * FROM meter_subscriptions")
        assert len(rows) == 1
        assert "secret-of" not in repr(rows)

    run.run(story())
