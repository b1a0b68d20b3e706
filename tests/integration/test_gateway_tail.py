"""The gateway's tail on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from tests.gateway_parts import a_detection, a_status, an_alert, an_assessment
from tests.waiting import eventually
from vision_stream import metrics, topics
from vision_stream.messages import encode
from vision_stream.settings import Settings
from workers.gateway.board import CameraView
from workers.gateway.hub import Hub
from workers.gateway.tail import KafkaTail


@asynccontextmanager
async def tailing(settings: Settings, hub: Hub, **how: float) -> AsyncIterator[KafkaTail]:
    tail = KafkaTail(settings, hub, **how)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(tail.run())
        yield tail
        running.cancel()


async def reads(tail: KafkaTail, within_s: float = 15.0) -> None:
    await eventually(lambda: tail.lost is None, within_s=within_s, what=f"the tail reads; lost: {tail.lost}")


@asynccontextmanager
async def producing(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def view(hub: Hub, camera_id: str = "cam-01") -> CameraView:
    return hub.board.get(camera_id) or CameraView(camera_id)


@pytest.fixture
async def settings(kafka_settings) -> Settings:
    made = kafka_settings(partitions=3)
    await topics.ensure(made, wait_s=20)
    return made


async def test_what_is_produced_reaches_the_hub(settings: Settings):
    names, hub, now = settings.kafka.topics, Hub(), time.time()
    async with tailing(settings, hub) as tail, producing(settings) as producer:
        await reads(tail)

        for camera_id in ("cam-01", "cam-02", "cam-03", "cam-04"):
            key = camera_id.encode()
            await producer.send(names.detection_results.name, encode(a_detection(camera_id, at=now)), key)
            await producer.send(names.camera_status.name, encode(a_status(camera_id, at=now)), key)
            assessment = an_assessment(camera_id, request_id=f"{camera_id}:s:1", at=now)
            await producer.send(names.camera_assessments.name, encode(assessment), key)
            await producer.send(names.camera_assessments.name, encode(an_alert(camera_id)), key)

        await eventually(lambda: len(hub.board) == 4 and all(_is_complete(v) for v in hub.board.views()), within_s=10)


def _is_complete(seen: CameraView) -> bool:
    return bool(seen.detection and seen.status and seen.assessment and seen.alerts)


async def test_a_gateway_that_starts_late_knows_the_latest_risks_and_statuses_but_no_old_boxes(settings: Settings):
    names, hub, now = settings.kafka.topics, Hub(), time.time()
    async with producing(settings) as producer:
        await producer.send_and_wait(names.detection_results.name, encode(a_detection(at=now)), b"cam-01")
        await producer.send_and_wait(names.camera_status.name, encode(a_status(at=now)), b"cam-01")
        await producer.send_and_wait(names.camera_assessments.name, encode(an_alert()), b"cam-01")
        old = {"key": b"hour-ago", "timestamp_ms": int((now - 3600) * 1000)}
        for camera_id, more in (("hour-ago", old), ("cam-01", {"key": b"cam-01"})):
            message = encode(an_assessment(camera_id, at=now))
            await producer.send_and_wait(names.camera_assessments.name, message, **more)

        async with tailing(settings, hub) as tail:
            await reads(tail)
            await eventually(lambda: view(hub).assessment and view(hub).status, within_s=10)

    assert view(hub).alerts[0].alert_id == "a-1"
    assert view(hub).detection is None
    assert hub.board.get("hour-ago") is None


async def test_a_message_that_cannot_be_read_is_counted_and_passed_over(settings: Settings):
    names, hub = settings.kafka.topics, Hub()
    topic = names.detection_results.name
    before = metrics.tail_skipped.labels(topic)._value.get()
    async with tailing(settings, hub) as tail, producing(settings) as producer:
        await reads(tail)
        bad = [b"not json", b"\xff\xfe", b"{}", json.dumps({"schema_version": 99}).encode(), None]
        for payload in bad:
            await producer.send_and_wait(topic, payload, b"cam-01")
        await producer.send_and_wait(topic, encode(a_detection()), b"cam-01")

        await eventually(lambda: view(hub).detection is not None, within_s=10)

    assert metrics.tail_skipped.labels(topic)._value.get() - before == len(bad)


async def test_topics_that_do_not_exist_yet_are_waited_for(kafka_settings):
    made, hub = kafka_settings(partitions=2), Hub()
    async with tailing(made, hub) as tail:
        await eventually(lambda: "does not exist yet" in (tail.lost or ""), within_s=10)

        await topics.ensure(made, wait_s=20)

        await reads(tail)


async def test_the_broker_may_come_late_go_and_come_back(private_kafka, kafka_settings):
    made, hub = kafka_settings(partitions=2, broker=private_kafka), Hub()
    topic = made.kafka.topics.camera_assessments.name
    await topics.ensure(made, wait_s=20)
    private_kafka.kill()

    with capture_logs() as lines:
        async with tailing(made, hub, probe_s=0.3) as tail:
            await eventually(lambda: tail.lost not in (None, "not connected yet"), within_s=15)
            await private_kafka.restart()
            await reads(tail, within_s=30)
            async with producing(made) as producer:
                await producer.send_and_wait(topic, encode(an_assessment(request_id="before", at=1)), b"cam-01")
            await eventually(lambda: view(hub).assessment is not None, within_s=10)

            private_kafka.kill()
            await eventually(lambda: tail.lost is not None, within_s=20)
            await private_kafka.restart()
            await reads(tail, within_s=30)
            async with producing(made) as producer:
                await producer.send_and_wait(topic, encode(an_assessment(request_id="after", at=2)), b"cam-01")
            await eventually(lambda: view(hub).assessment.request_id == "after", within_s=10)  # type: ignore[union-attr]

    said = [line["event"] for line in lines if "Kafka" in line["event"]]
    assert said == ["Kafka is away, waiting for it", "Kafka is back"] * 2
