"""One trace from a frame to its push, through real processes and a real Kafka; and the request's id in their logs."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.builders import assessed
from tests.collector import Collector, Span, a_collector
from tests.faults.harness.world import open_world
from tests.films import ColourDetector, two_cars_driving, write_film
from tests.gateway_parts import a_gateway, hear, listening
from tests.integration.test_gateway_tail import producing, reads, tailing
from tests.waiting import eventually
from vision_stream import tracing
from vision_stream.llm.prompts import FOCUS
from vision_stream.messages import encode
from vision_stream.settings import CameraSettings, Settings, TracingSettings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.inference import Inference
from workers.capture.kafka_sink import KafkaSink
from workers.capture.worker import CaptureWorker

pytestmark = pytest.mark.timeout(180)

CONSUMER, PRODUCER, CLIENT = 5, 4, 3
PRODUCED = ("detection_results", "assessment_tasks", "risk_assessment_results", "camera_assessments")


@asynccontextmanager
async def traced_here(collector: Collector) -> AsyncIterator[None]:
    tracing.start(TracingSettings(enabled=True, endpoint=collector.url), "here")
    try:
        yield
    finally:
        await tracing.stop(within_s=5.0)


async def film(settings: Settings, source: str) -> None:
    """What a capture worker does with a camera, from frames to Kafka."""
    sink, inference = KafkaSink(settings.kafka), Inference()
    camera = CameraSettings.model_validate({"id": "cam-01", "source": source, "fps": 10})
    await sink.start()
    worker = CaptureWorker(
        camera,
        settings,
        detector=ColourDetector(),
        inference=inference,
        sink=sink,
        evidence=MemoryEvidence(),
        frames=MemoryFrames(),
        loop=False,
        realtime=False,
    )
    try:
        await worker.run()
    finally:
        await sink.close(within_s=20.0)
        inference.close()


async def first_assessment(ws: Any) -> dict[str, Any]:
    while True:
        pushed = await hear(ws)
        if pushed["type"] == "risk_assessment":
            return pushed["data"]


def lines_of(log: Path, request_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("request_id") == request_id]


async def test_one_trace_leads_from_a_frame_to_its_push(kafka_settings, tmp_path: Path):
    settings: Settings = kafka_settings(partitions=2)
    source = str(write_film(tmp_path / "secret-place.avi", two_cars_driving(3), fps=10))
    async with a_collector() as collector, open_world(settings, tmp_path) as world:
        worker = world.worker(
            "worker",
            ALGO_MONITORING_TRACING_ENABLED="true",
            ALGO_MONITORING_TRACING_ENDPOINT=collector.url,
            ALGO_LOG_LEVEL="DEBUG",
        )
        await worker.start()
        async with traced_here(collector), a_gateway() as gateway, tailing(settings, gateway.hub) as tail:
            await reads(tail)
            async with listening(gateway) as ws:
                await film(settings, source)
                assessment = await first_assessment(ws)
            request_id = assessment["request_id"]
            (push,) = await eventually(lambda: pushes_of(collector, request_id), 20)

    path = collector.path(push)
    names = [getattr(settings.kafka.topics, field).name for field in PRODUCED]
    hops = [f"{verb} {topic}" for topic in names for verb in ("send", "process")]
    assert [span.name for span in path] == ["capture frame", *hops, "push risk_assessment"]
    assert path[0].parent == ""
    of_request = [span for span in collector.spans if span.attributes.get("vision_stream.request_id") == request_id]
    assert {span.trace for span in of_request} == {push.trace}
    roots = [span for span in collector.of_trace(push.trace).values() if not span.parent]
    assert [span.name for span in roots] == ["capture frame"]
    assert {span.service for span in path[1:-1]} == {"here", "vision-stream-worker"}
    each_message_is_found_where_it_was_sent(path, group=settings.kafka.app_id)
    a_call_is_told(collector, path, assessment)
    nothing_private_was_sent(collector, source, assessment)
    each_stage_has_said_whose_it_was(worker.log, assessment)


def pushes_of(collector: Collector, request_id: str) -> list[Span]:
    """Once all that led to them has come too."""
    paths = [collector.path(push) for push in collector.named("push risk_assessment")]
    return [path[-1] for path in paths if path[0].attributes.get("vision_stream.request_id") == request_id]


def each_message_is_found_where_it_was_sent(path: list[Span], group: str) -> None:
    hops = path[1:-1]
    for sent, handled in zip(hops[::2], hops[1::2], strict=True):
        assert (sent.kind, handled.kind) == (PRODUCER, CONSUMER)
        for name in ("system", "destination.name", "destination.partition.id", "kafka.offset"):
            assert sent.attributes[f"messaging.{name}"] == handled.attributes[f"messaging.{name}"], name
        assert sent.attributes["messaging.operation.type"] == "send"
        assert handled.attributes["messaging.operation.type"] == "process"
        assert sent.attributes["messaging.kafka.message.key"] == "cam-01"
    groups = [handled.attributes.get("messaging.consumer.group.name") for handled in hops[1::2]]
    assert groups == [group, group, group, None]  # the gateway reads without one


def a_call_is_told(collector: Collector, path: list[Span], assessment: dict[str, Any]) -> None:
    outcome = assessment["assessments"][0]
    handled = path[4]
    calls = [span for span in collector.of_trace(handled.trace).values() if span.name.startswith("chat ")]
    assert len(calls) == assessment["group_count"]
    (call,) = [span for span in calls if span.parent == handled.id]
    assert (call.name, call.kind, call.failed) == (f"chat {outcome['model']}", CLIENT, False)
    told = call.attributes
    assert (told["gen_ai.operation.name"], told["gen_ai.request.model"]) == ("chat", outcome["model"])
    assert told["gen_ai.usage.input_tokens"] > 0
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["server.address"] == "127.0.0.1"
    assert told["vision_stream.key_id"].startswith("key-")


def nothing_private_was_sent(collector: Collector, source: str, assessment: dict[str, Any]) -> None:
    sent = b"".join(collector.bodies)
    descriptions = [outcome["description"] for outcome in assessment["assessments"]]
    for private in ("sk-sim", source, "secret-place", FOCUS["default"][:40], *descriptions):
        assert private.encode() not in sent, private


def each_stage_has_said_whose_it_was(log: Path, assessment: dict[str, Any]) -> None:
    lines = lines_of(log, assessment["request_id"])
    said = [line["event"] for line in lines]
    assert {"gated", "LLM call", "outcome", "joined"} <= set(said)
    info = [line for line in lines if line["level"] != "debug"]
    assert [line["event"] for line in info] == ["LLM call"] * assessment["group_count"]
    for line in info:
        assert line["outcome"] == "ok"
        assert line["key"].startswith("key-")
        assert line["latency_s"] > 0
        assert line["input_tokens"] > 0
        assert line["output_tokens"] > 0


async def test_a_request_whose_deadline_passed_is_closed_in_its_own_trace(kafka_settings, tmp_path: Path):
    settings: Settings = kafka_settings(partitions=1, roles=("result_aggregator",))
    topic, trace = settings.kafka.topics.risk_assessment_results.name, "0af7651916cd43dd8448eb211c80319c"
    half = assessed(group_count=2, captured_at=time.time() - 60)  # its deadline is over, and one outcome never comes
    sent_with = [("traceparent", f"00-{trace}-b7ad6b7169203331-01".encode())]
    async with a_collector() as collector, open_world(settings, tmp_path) as world:
        worker = world.worker(
            "worker",
            ALGO_MONITORING_TRACING_ENABLED="true",
            ALGO_MONITORING_TRACING_ENDPOINT=collector.url,
        )
        await worker.start()
        async with producing(settings) as producer:
            await producer.send_and_wait(topic, encode(half), half.camera_id.encode(), headers=sent_with)
        name = f"send {settings.kafka.topics.camera_assessments.name}"
        (closed,) = await eventually(lambda: collector.named(name), 30)
    (tick,) = collector.named(f"send {topic}")
    assert (tick.trace, closed.trace) == (trace, trace)
    assert {span.service for span in collector.spans} == {"vision-stream-result_aggregator"}
