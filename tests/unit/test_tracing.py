"""Traces: off, they are nothing; on, they are named by the conventions; a collector that is away holds up nobody."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.builders import a_detection, a_group, assessed
from tests.gateway_parts import an_assessment
from vision_stream import tracing
from vision_stream.delivery.produce import CONTENT_TYPE, Outbox
from vision_stream.delivery.record import Record, handled
from vision_stream.errors import ConfigError
from vision_stream.messages import AssessmentTask, GroupAssessment
from vision_stream.settings import Settings, TracingSettings
from vision_stream.stores.cache import MemoryCache
from vision_stream.tracing.spans import Spans
from workers.capture.kafka_sink import KafkaSink
from workers.gateway.hub import ALL, Hub
from workers.standalone.pipeline import Pipeline

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{PARENT}-01".encode())
UNTRACED = """
import sys
from vision_stream import tracing
from vision_stream.settings import Settings
import workers.capture.kafka_sink, workers.gateway.tail, workers.standalone.run, agents.task_generator
tracing.start(Settings().monitoring.tracing, "nobody")
with tracing.frame("cam-01", 1.0), tracing.processing("t", 0, 1, [("traceparent", b"x")]), tracing.step("s"):
    assert tracing.sending("t", b"k") is None and tracing.current() is None
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


class Traces:
    """What this process has traced."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.spans = Spans(provider.get_tracer("test"))

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._kept.get_finished_spans())

    def only(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.ended if span.name == name]
        return found


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    made = Traces()
    monkeypatch.setattr(tracing, "_spans", made.spans)
    return made


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str | None:
    return f"{span.parent.span_id:016x}" if span.parent else None


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# -- off


def test_while_it_is_off_nothing_of_opentelemetry_is_imported():
    done = subprocess.run([sys.executable, "-c", UNTRACED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "vision_stream.tracing.exporting", None)
    with pytest.raises(ConfigError, match=r"vision-stream\[tracing\]"):
        tracing.start(TracingSettings(enabled=True), "worker")


async def test_a_context_is_passed_on_also_by_a_process_that_does_not_trace():
    outbox, sent = an_outbox()
    handled.set(a_record(TRACEPARENT, ("other", b"x")))
    await outbox.deliver("cam-01", [a_detection()])
    assert sent == [[CONTENT_TYPE, TRACEPARENT]]


# -- contexts in headers


def a_record(*headers: tuple[str, bytes]) -> Record:
    return Record("in", 3, 7, 1, b"cam-01", b"{}", 0.0, headers)


def an_outbox(*troubles: Exception) -> tuple[Outbox, list[list[tuple[str, bytes]]]]:
    """Its app's producer remembers headers; each of ``troubles`` is how a delivery ends."""
    sent: list[list[tuple[str, bytes]]] = []

    class Producer:
        async def send(self, topic: str, key: bytes, value: bytes, *rest: Any) -> asyncio.Future[Any]:
            sent.append(rest[-1])
            future = asyncio.get_running_loop().create_future()
            if len(sent) <= len(troubles):
                future.set_exception(troubles[len(sent) - 1])
            else:
                future.set_result(type("Place", (), {"partition": 5, "offset": 42}))
            return future

    app: Any = type("App", (), {"producer": Producer()})
    return Outbox(app, "out"), sent


async def test_what_a_message_causes_is_in_its_trace_and_named_by_the_conventions(traces: Traces):
    outbox, sent = an_outbox()
    with tracing.processing("in", 3, 7, [TRACEPARENT], "our-group"):
        await outbox.deliver("cam-01", [a_detection()])
    await asyncio.sleep(0)  # a future's callbacks run in the next turn
    process, send = traces.only("process in"), traces.only("send out")
    assert (trace_of(process), parent_of(process)) == (TRACE, PARENT)
    assert (trace_of(send), parent_of(send)) == (TRACE, f"{process.context.span_id:016x}")  # type: ignore[union-attr]
    assert sent == [[CONTENT_TYPE, ("traceparent", f"00-{TRACE}-{send.context.span_id:016x}-01".encode())]]  # type: ignore[union-attr]
    assert told(process) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "in",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
        "messaging.consumer.group.name": "our-group",
    }
    assert told(send)["messaging.destination.partition.id"] == "5"
    assert told(send)["messaging.kafka.offset"] == 42


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("traceparent", None)],
        [("traceparent", b"")],
        [("traceparent", b"\xff\xfe\x00")],
        [("traceparent", b"00-00000000000000000000000000000000-b7ad6b7169203331-01")],
        [("traceparent", b"ff-" + TRACE.encode() + b"-b7ad6b7169203331-01")],
        [("traceparent", b"0" * 100_000)],
        [("tracestate", b"a=b")],
        [("Traceparent", TRACEPARENT[1])],
    ],
    ids=["missing", "null", "empty", "bytes", "zeros", "unknown version", "long", "state alone", "another header"],
)
def test_a_missing_or_broken_context_begins_a_new_trace(traces: Traces, headers: list[Any]):
    with tracing.processing("in", 0, 1, headers):
        pass
    span = traces.only("process in")
    assert span.parent is None
    assert trace_of(span) != TRACE


@pytest.mark.parametrize("state", [b"a=b", b"=,,=;", b"\xff", b"v" * 9000], ids=["good", "signs", "byte", "long"])
def test_a_broken_state_does_not_cost_the_trace(traces: Traces, state: bytes):
    with tracing.processing("in", 0, 1, [TRACEPARENT, ("tracestate", state)]):
        pass
    assert trace_of(traces.only("process in")) == TRACE


# -- failures


async def test_of_what_fails_only_the_type_is_told(traces: Traces):
    outbox, _ = an_outbox(ConnectionError("sk-canary-in-a-message"))
    with pytest.raises(ConnectionError), tracing.processing("in", 0, 1, []):
        await outbox.deliver("cam-01", [a_detection()])
    for name in ("process in", "send out"):
        span = traces.only(name)
        assert (told(span)["error.type"], span.status.is_ok) == ("ConnectionError", False)
        assert "canary" not in span.to_json()


def test_of_an_endpoint_only_its_host_and_port_are_told(traces: Traces):
    with tracing.llm_call("key-001", "a-model", "https://me:canary@llm.example/v1?token=canary", 500):
        pass
    span = traces.only("chat a-model")
    assert (told(span)["server.address"], told(span)["server.port"]) == ("llm.example", 443)
    assert "canary" not in span.to_json()


async def test_a_detection_that_had_to_make_room_ends_its_trace_with_the_reason(traces: Traces):
    sink = KafkaSink(Settings().kafka, buffered=1)  # not started: as with a broker that is away
    for sequence in (1, 2):
        with tracing.frame("cam-01", 1000.0):
            await sink.detection(a_detection(sequence=sequence))
    dropped = traces.only("send detection-results")
    assert (told(dropped)["error.type"], dropped.status.is_ok) == ("broker away", False)
    assert trace_of(dropped) == trace_of(traces.ended[0])


# -- one process


class Judge:
    async def assess(self, task: AssessmentTask) -> GroupAssessment:
        with tracing.llm_call("key-001", "a-model", "http://127.0.0.1/v1", 500):
            return assessed(sequence=1, captured_at=task.times.captured_at)


async def test_in_one_process_a_push_is_in_its_frames_trace(traces: Traces):
    hub = Hub()
    pipeline = Pipeline(Settings(), Judge(), hub, MemoryCache())
    with hub.session() as session:
        hub.subscribe(session, ALL)
        with tracing.frame("cam-01", 1000.0):
            await pipeline.detection(a_detection(a_group()))
        assert await pipeline.drain(5.0)
        pushes = [(await session.next())[1] for _ in range(2)]
        for push in pushes:
            with tracing.pushing(push.type, push.trace):
                pass
    await pipeline.close()
    assert {span.name for span in traces.ended} == {
        "capture frame",
        "chat a-model",
        "push risk_assessment",
        "push detection_result",
    }
    assert len({trace_of(span) for span in traces.ended}) == 1


async def test_what_a_later_browser_is_sent_of_before_is_no_part_of_an_old_trace(traces: Traces):
    hub = Hub()
    with tracing.frame("cam-01", 1000.0):
        await hub.assessment(an_assessment())
    with hub.session() as session:
        hub.subscribe(session, ALL)
        _, push = await session.next()
    assert push.trace is None


# -- the collector


async def test_a_collector_that_never_answers_holds_up_nobody():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracing.start(TracingSettings(enabled=True, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), "worker")
        for offset in range(10_000):  # more than may wait
            with tracing.processing("in", 0, offset, []):
                pass
        await asyncio.wait_for(tracing.stop(within_s=0.1), 10)
    assert tracing.current() is None
