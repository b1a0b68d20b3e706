"""Detections over a real Kafka: confirmed, in order, and nothing lost that the buffer can hold."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from structlog.testing import capture_logs

from tests.builders import a_detection
from tests.conftest import SettingsMaker
from tests.waiting import eventually
from vision_stream import metrics, topics
from vision_stream.broker import KafkaBroker
from vision_stream.camera_metrics import CameraMetrics
from vision_stream.messages import CameraStatus, Detection, decode
from vision_stream.server_process import free_ports
from vision_stream.settings import KafkaSettings, Settings
from workers.capture import kafka_sink
from workers.capture.kafka_sink import KafkaSink


@asynccontextmanager
async def a_sink(settings: Settings, **bounds: int) -> AsyncIterator[KafkaSink]:
    sink = KafkaSink(settings.kafka, **bounds)
    await sink.start()
    try:
        yield sink
    finally:
        await sink.close()


async def read_all(settings: Settings, topic: str) -> list:
    """All messages of a topic as they lie there."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=list(settings.kafka.bootstrap_servers),  # type: ignore[arg-type]
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        messages = []
        while sum(ends.values()) > len(messages):
            for batch in (await consumer.getmany(timeout_ms=2000)).values():
                messages += batch
        return messages
    finally:
        await consumer.stop()


def of_camera(messages: list, camera_id: str) -> list[int]:
    """Sequences in the order of the topic, each counted when it is first seen."""
    detections = [decode(message.value, Detection) for message in messages]
    return list(dict.fromkeys(each.sequence for each in detections if each.camera_id == camera_id))


async def test_every_detection_is_confirmed_and_lies_in_order_under_its_camera(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await topics.ensure(settings, wait_s=20)
    CameraMetrics("cam-02").begin()
    counter = metrics.detections.labels("cam-02")
    before = counter._value.get()
    async with a_sink(settings) as sink:
        for sequence in range(200):
            for camera in ("cam-01", "cam-02"):
                await sink.detection(a_detection(camera_id=camera, sequence=sequence))
        await eventually(lambda: sink.confirmed == 400, within_s=15)
    messages = await read_all(settings, settings.kafka.topics.detection_results.name)
    assert of_camera(messages, "cam-01") == list(range(200))
    assert of_camera(messages, "cam-02") == list(range(200))
    assert len(messages) == 400
    assert {message.key for message in messages} == {b"cam-01", b"cam-02"}
    assert dict(messages[0].headers)["content-type"] == b"application/json"
    assert counter._value.get() - before == 200


async def test_a_cameras_state_goes_to_its_own_topic(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await topics.ensure(settings, wait_s=20)
    async with a_sink(settings) as sink:
        await sink.status(CameraStatus(camera_id="cam-01", state="online", since=1.0, at=2.0))
    (message,) = await read_all(settings, settings.kafka.topics.camera_status.name)
    assert message.key == b"cam-01"
    assert decode(message.value, CameraStatus).state == "online"


async def test_what_was_offered_is_sent_when_the_sink_is_closed(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await topics.ensure(settings, wait_s=20)
    async with a_sink(settings) as sink:
        for sequence in range(50):
            await sink.detection(a_detection(sequence=sequence))
    assert sink.confirmed == 50
    assert sink.dropped == 0


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing_that_the_buffer_holds(
    kafka_settings: SettingsMaker, private_kafka: KafkaBroker
):
    settings = kafka_settings(broker=private_kafka)
    await topics.ensure(settings, wait_s=20)
    with capture_logs() as logs:
        async with a_sink(settings) as sink:
            for sequence in range(20):
                await sink.detection(a_detection(sequence=sequence))
            await eventually(lambda: sink.confirmed == 20, within_s=10)
            private_kafka.kill()
            for sequence in range(20, 60):
                await sink.detection(a_detection(sequence=sequence))
            await eventually(lambda: any("Kafka is away" in line["event"] for line in logs), within_s=10)
            await private_kafka.restart()
            await eventually(lambda: sink.confirmed == 60, within_s=30)
    messages = await read_all(settings, settings.kafka.topics.detection_results.name)
    assert of_camera(messages, a_detection().camera_id) == list(range(60))
    said = [line["event"] for line in logs if line["event"].startswith("Kafka is")]
    assert said == ["Kafka is away, keeping the newest", "Kafka is back"]


async def test_a_broker_that_is_away_at_the_start_is_waited_for_while_the_newest_are_kept(
    kafka_settings: SettingsMaker,
):
    (port,) = free_ports(1)
    settings = Settings.model_validate(
        {"enable_kafka_streaming": True, "kafka": {"bootstrap_servers": [f"127.0.0.1:{port}"]}}
    )
    CameraMetrics("cam-01").begin()
    skipped = metrics.frames_skipped.labels("cam-01", "broker away")
    before = skipped._value.get()
    async with a_sink(settings, buffered=10) as sink:
        for sequence in range(25):
            await sink.detection(a_detection(sequence=sequence))
        assert sink.dropped == 15
        assert skipped._value.get() - before == 15
        async with KafkaBroker(port=port) as _:
            await topics.ensure(settings, wait_s=20)
            await eventually(lambda: sink.confirmed == 10, within_s=20)
            messages = await read_all(settings, settings.kafka.topics.detection_results.name)
    assert of_camera(messages, "cam-01") == list(range(15, 25))


async def test_without_a_broker_a_sink_still_closes_within_its_time():
    (port,) = free_ports(1)
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": [f"127.0.0.1:{port}"]}})
    sink = KafkaSink(settings.kafka)
    await sink.start()
    await sink.detection(a_detection())
    started = time.monotonic()
    async with asyncio.timeout(5):
        await sink.close(within_s=0.5)
    assert time.monotonic() - started < 3
    assert sink.dropped == 1


async def test_an_error_that_nobody_foresaw_does_not_end_the_sending(
    kafka_settings: SettingsMaker, monkeypatch: pytest.MonkeyPatch
):
    settings, tries = kafka_settings(), []
    await topics.ensure(settings, wait_s=20)
    options = kafka_sink.client_options

    def fails_at_first(kafka: KafkaSettings) -> dict[str, Any]:
        tries.append(kafka)
        if len(tries) == 1:
            raise AssertionError("a certificate is being replaced")
        return options(kafka)

    monkeypatch.setattr(kafka_sink, "client_options", fails_at_first)
    async with a_sink(settings) as sink:
        await sink.detection(a_detection(sequence=1))
        await eventually(lambda: sink.confirmed == 1, within_s=20)
    assert sink.dropped == 0


async def test_a_killed_broker_does_not_hold_up_the_end(kafka_settings: SettingsMaker, private_kafka: KafkaBroker):
    settings = kafka_settings(broker=private_kafka)
    await topics.ensure(settings, wait_s=20)
    sink = KafkaSink(settings.kafka)
    await sink.start()
    await sink.detection(a_detection(sequence=1))
    await eventually(lambda: sink.confirmed == 1, within_s=10)
    private_kafka.kill()
    await sink.detection(a_detection(sequence=2))
    async with asyncio.timeout(6):
        await sink.close(within_s=1)
    assert (sink.confirmed, sink.dropped) == (1, 1)


async def test_a_message_that_kafka_refuses_is_counted_and_the_next_goes_through(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await topics.ensure(settings, wait_s=20)
    async with a_sink(settings) as sink:
        await sink.detection(a_detection(sequence=1, model="x" * 2_000_000))
        await sink.detection(a_detection(sequence=2))
        await eventually(lambda: sink.confirmed == 1, within_s=10)
    assert sink.dropped == 1


@pytest.mark.slow
async def test_a_broker_that_comes_back_empty_gets_what_is_new():
    (port,) = free_ports(1)
    settings = Settings.model_validate(
        {"enable_kafka_streaming": True, "kafka": {"bootstrap_servers": [f"127.0.0.1:{port}"]}}
    )
    async with a_sink(settings) as sink:
        async with KafkaBroker(port=port):
            await topics.ensure(settings, wait_s=20)
            await sink.detection(a_detection(sequence=1))
            await eventually(lambda: sink.confirmed == 1, within_s=15)
        async with KafkaBroker(port=port):  # its data was temporary: topics and producer ids are gone
            await sink.detection(a_detection(sequence=2))
            await topics.ensure(settings, wait_s=20)
            await eventually(lambda: sink.confirmed == 2, within_s=40)
            messages = await read_all(settings, settings.kafka.topics.detection_results.name)
    assert of_camera(messages, "cam-01") == [2]
