"""The meter's decoder says what the official decoder says, whatever the bytes."""

from __future__ import annotations

import gzip
import random

import orjson
import pytest
import zstandard
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from phoenix.measurement.compression import UNPACKED_BYTES_MAX, unpack
from phoenix.measurement.errors import MalformedBody, TooLarge, UnsupportedMedia
from phoenix.measurement.otlp import COUNTER, DELTA, LEVEL, Block, Decoder, read
from phoenix.testing.otlp import aged, collector_bytes, processes

NOW_NS = 1_800_000_000_000_000_000


def as_plain(blocks: list[Block]) -> list[object]:
    return [
        (
            b.layout.resource.name,
            b.layout.resource.pid,
            b.layout.ids,
            b.layout.levels,
            b.layout.counters,
            b.layout.deltas,
            [repr(v) for v in b.values],
            list(b.times),
            list(b.starts),
        )
        for b in blocks
    ]


def officially(body: bytes) -> list[object]:
    request = ExportMetricsServiceRequest.FromString(body)
    return as_plain([read(one) for one in request.resource_metrics])


def test_the_second_scrape_of_a_host_is_read_without_decoding_and_reads_the_same() -> None:
    host = processes(50, seed=1, started_ns=NOW_NS)
    decoder = Decoder()
    for second in range(4):
        body = collector_bytes(aged(host, second), NOW_NS + second * 10**9)
        assert as_plain(decoder.protobuf(body)) == officially(body)
    assert decoder.slow_points == 350
    assert decoder.fast_points == 3 * 350


def test_the_field_order_of_the_official_runtime_is_learned_too() -> None:
    host = processes(20, seed=2, started_ns=NOW_NS)
    decoder = Decoder()
    for second in range(3):
        theirs = collector_bytes(aged(host, second), NOW_NS + second)
        ours = ExportMetricsServiceRequest.FromString(theirs).SerializeToString()
        assert ours != theirs
        assert as_plain(decoder.protobuf(ours)) == officially(theirs)
    assert decoder.fast_points == 2 * 140


def test_a_small_cache_forgets_and_still_reads_the_same() -> None:
    host = processes(60, seed=3, started_ns=NOW_NS)
    decoder = Decoder(known_bytes_max=100_000)
    for second in range(4):
        body = collector_bytes(aged(host, second), NOW_NS + second)
        assert as_plain(decoder.protobuf(body)) == officially(body)
    assert decoder.slow_points > 420


numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=True, allow_infinity=True), st.none()
)
times = st.integers(0, 2**64 - 1)
texts = st.text(max_size=12)


@st.composite
def requests(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 3))):
        rm = request.resource_metrics.add()
        if draw(st.booleans()):
            rm.resource.attributes.add(key="process.pid").value.int_value = draw(
                st.integers(-5, 2**31)
            )
        if draw(st.booleans()):
            name = rm.resource.attributes.add(key="process.executable.name")
            name.value.string_value = draw(texts)
        for _ in range(draw(st.integers(0, 2))):
            sm = rm.scope_metrics.add()
            sm.scope.name = draw(texts)
            for _ in range(draw(st.integers(0, 3))):
                metric = sm.metrics.add(name=draw(texts), unit=draw(texts))
                kind = draw(st.sampled_from(["sum", "gauge", "histogram", "none"]))
                if kind == "none":
                    continue
                data = getattr(metric, kind)
                if kind == "sum":
                    data.aggregation_temporality = draw(st.integers(0, 2))
                    data.is_monotonic = draw(st.booleans())
                for _ in range(draw(st.integers(0, 3))):
                    point = data.data_points.add(
                        time_unix_nano=draw(times), start_time_unix_nano=draw(times)
                    )
                    for key in draw(st.lists(texts, max_size=2, unique=True)):
                        point.attributes.add(key=key).value.string_value = draw(texts)
                    if kind == "histogram":
                        point.count = 3
                        continue
                    value = draw(numbers)
                    if isinstance(value, int):
                        point.as_int = value
                    elif value is not None:
                        point.as_double = value
                    point.flags = draw(st.sampled_from([0, 1]))
    return request


def moved(request: ExportMetricsServiceRequest, dice: random.Random) -> None:
    """The same request at another time, with other numbers."""
    for rm in request.resource_metrics:
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                which = metric.WhichOneof("data")
                if which not in ("sum", "gauge"):
                    continue
                for point in getattr(metric, which).data_points:
                    if point.HasField("as_int"):
                        point.as_int = dice.randrange(-(2**62), 2**62)
                    elif point.HasField("as_double"):
                        point.as_double = dice.random()
                    if point.time_unix_nano:
                        point.time_unix_nano = dice.randrange(1, 2**64)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=requests(), seed=st.integers(0, 1000))
def test_any_request_reads_as_the_official_decoder_reads_it(
    request: ExportMetricsServiceRequest, seed: int
) -> None:
    decoder, dice = Decoder(), random.Random(seed)
    for _ in range(3):
        body = request.SerializeToString()
        assert as_plain(decoder.protobuf(body)) == officially(body)
        moved(request, dice)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(request=requests())
def test_json_reads_as_protobuf_does(request: ExportMetricsServiceRequest) -> None:
    body = json_format.MessageToJson(request).encode()
    assert as_plain(Decoder().json(body)) == officially(request.SerializeToString())


BODY = collector_bytes(processes(5, seed=4, started_ns=NOW_NS), NOW_NS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_as_the_official_decoder_reads_them(
    data: st.DataObject,
) -> None:
    decoder = Decoder()
    decoder.protobuf(BODY)
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(body[: data.draw(st.integers(0, len(body)))])
    try:
        expected = officially(damaged)
    except DecodeError:
        with pytest.raises(MalformedBody):
            decoder.protobuf(damaged)
    else:
        assert as_plain(decoder.protobuf(damaged)) == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"[]", b"3", b'{"resourceMetrics": 7}', b'{"resourceMetrics": [{"x": ',
     b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":"x"}]}}]}]}]}',
     b"[" * 100_000, b'{"resourceMetrics":' * 5000, "\udcff".encode("utf-8", "surrogatepass")],
)  # fmt: skip
def test_json_that_is_not_otlp_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        Decoder().json(body)


def test_json_takes_integers_as_text_or_numbers_and_ignores_what_it_does_not_know() -> None:
    point = {"timeUnixNano": "1800000000000000000", "asInt": 5, "unknown": {"a": [1]}}
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "sum": {
        "aggregationTemporality": 2, "dataPoints": [point]}}]}]}], "more": 1}  # fmt: skip
    [block] = Decoder().json(orjson.dumps(body))
    assert (block.values, block.times) == ([5], [NOW_NS])


def test_sums_are_levels_counters_or_deltas() -> None:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for name, temporality, monotonic in (("m", 2, False), ("c", 2, True), ("d", 1, True)):
        metric = metrics.add(name=name)
        metric.sum.aggregation_temporality = temporality
        metric.sum.is_monotonic = monotonic
        metric.sum.data_points.add(as_int=1)
    [block] = Decoder().protobuf(request.SerializeToString())
    layout = block.layout
    kinds = {LEVEL: layout.levels, COUNTER: layout.counters, DELTA: layout.deltas}
    assert {kind: [one[-1] for one in found] for kind, found in kinds.items()} == {
        LEVEL: ["m"], COUNTER: ["c"], DELTA: ["d"],
    }  # fmt: skip


def test_the_senders_order_of_attributes_makes_no_new_series() -> None:
    one, two = ExportMetricsServiceRequest(), ExportMetricsServiceRequest()
    for request, order in ((one, "ab"), (two, "ba")):
        rm = request.resource_metrics.add()
        point = rm.scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1)
        for key in order:
            rm.resource.attributes.add(key=key).value.string_value = key
            point.attributes.add(key=key).value.string_value = key
    [a] = Decoder().protobuf(one.SerializeToString())
    [b] = Decoder().protobuf(two.SerializeToString())
    assert a.layout.ids == b.layout.ids


def test_every_encoding_gives_the_body_back() -> None:
    assert unpack(BODY, "") == unpack(BODY, "identity") == BODY
    assert unpack(gzip.compress(BODY), "gzip") == BODY
    assert unpack(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), "gzip") == BODY
    assert unpack(zstandard.compress(BODY), "zstd") == BODY
    streamed = zstandard.ZstdCompressor(write_content_size=False).compress(BODY)
    assert unpack(streamed, "zstd") == BODY


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_broken_and_truncated_bodies_are_refused(encoding: str) -> None:
    packed = gzip.compress(BODY) if encoding == "gzip" else zstandard.compress(BODY)
    for body in (b"", b"x", packed[:-1], packed[:20], packed[5:], packed + b"x", b"\0" * 500):
        with pytest.raises(MalformedBody):
            unpack(body, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_refused_before_it_fills_the_memory(encoding: str) -> None:
    zeros = b"\0" * (UNPACKED_BYTES_MAX + 1)
    bomb = gzip.compress(zeros, 9) if encoding == "gzip" else zstandard.compress(zeros, 19)
    with pytest.raises(MalformedBody, match="times its size"):
        unpack(bomb, encoding)


def test_what_is_honest_but_too_large_is_refused_as_such() -> None:
    noise = random.Random(5).randbytes(1 << 20)
    with pytest.raises(TooLarge):
        unpack(gzip.compress(noise * 65, 1), "gzip")


def test_other_encodings_are_unsupported() -> None:
    with pytest.raises(UnsupportedMedia):
        unpack(BODY, "br")
