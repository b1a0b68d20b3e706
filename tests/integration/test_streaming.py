"""The three agents on real Kafka: what goes in comes out, once, and what cannot be read stops nothing."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from tests.builders import a_detection, a_group, an_object
from tests.faults.harness import Cameras, World, audit, committed, open_world
from tests.faults.harness.audit import INPUTS, read_all, records
from tests.faults.harness.world import Worker
from tests.waiting import eventually
from vision_stream.messages import (
    Assessed,
    CameraAssessment,
    CameraMessage,
    DeadLetter,
    Detection,
    Expired,
    GroupAssessment,
    Overdue,
    RiskLevel,
    StageTimes,
    decode,
    encode,
    max_risk,
)
from vision_stream.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Streaming:
    """A running worker, and a producer as other programs have one."""

    world: World
    worker: Worker
    producer: AIOKafkaProducer

    @property
    def settings(self) -> Settings:
        return self.world.settings

    async def send(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        name = getattr(self.settings.kafka.topics, topic).name
        await self.producer.send_and_wait(name, value, key=key)

    async def detection(self, detection: Detection) -> None:
        await self.send("detection_results", detection.camera_id.encode(), encode(detection))

    async def joined(self, camera_id: str) -> list[CameraMessage]:
        payloads = await read_all(self.settings, "camera_assessments")
        messages = [decode(m, CameraMessage) for m in payloads if b'"type"' in m]
        return [m for m in messages if m.camera_id == camera_id]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def streaming(kafka, tmp_path_factory) -> AsyncIterator[Streaming]:
    prefix = f"streaming-{secrets.token_hex(4)}"
    settings = settings_for(kafka, prefix)
    async with open_world(settings, tmp_path_factory.mktemp("streaming"), topics_made=False) as world:
        worker = world.worker("a", ALGO_MONITORING_PROMETHEUS_PORT="19200")
        await worker.start()  # on an empty broker: it makes the topics
        producer = AIOKafkaProducer(bootstrap_servers=",".join(kafka.bootstrap_servers), acks="all")
        await producer.start()
        yield Streaming(world, worker, producer)
        await producer.stop()


def settings_for(kafka, prefix: str, partitions: int = 4) -> Settings:
    names = type(Settings().kafka.topics).model_fields
    topics = {n: {"name": f"{prefix}-{n.replace('_', '-')}", "partitions": partitions} for n in names}
    return Settings.model_validate(
        {
            "enable_kafka_streaming": True,
            "enable_redis": False,
            "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "app_id": prefix, "topics": topics},
            "monitoring": {"prometheus": {"port": 0}},
        }
    )


def three_groups(camera_id: str) -> Detection:
    objects = tuple(an_object(n, "car" if n % 2 else "person", x=100 + 300 * (n // 2) + 30 * (n % 2)) for n in range(6))
    groups = [a_group(g, *objects[2 * g : 2 * g + 2]) for g in range(3)]
    return a_detection(*groups, camera_id=camera_id, objects=objects, captured_at=time.time())


async def test_one_detection_with_three_groups_gives_one_assessment_with_the_right_maximum(streaming: Streaming):
    detection = three_groups("cam-three")
    await streaming.detection(detection)

    async def assessments() -> list[CameraAssessment]:
        return [m for m in await streaming.joined("cam-three") if isinstance(m, CameraAssessment)]

    await eventually(assessments, 20, every_s=0.5)
    await eventually(lambda: idle(streaming), 10, every_s=0.5)
    (assessment,) = await assessments()
    assert assessment.request_id == detection.detection_id
    assert assessment.complete
    assert [a.group.index for a in assessment.assessments] == [0, 1, 2]
    payloads = await read_all(streaming.settings, "risk_assessment_results")
    results = [decode(m, GroupAssessment | Overdue) for m in payloads if b'"outcome"' in m]
    levels: list[RiskLevel] = [r.risk_level for r in results if isinstance(r, Assessed) and r.camera_id == "cam-three"]
    assert len(levels) == 3
    assert assessment.max_risk_level == max_risk(levels)


async def idle(streaming: Streaming) -> bool:
    """All that came is done."""
    stats = await streaming.worker.stats()
    return bool(stats) and not any(p["lag"] for p in stats["partitions"])


@pytest.mark.parametrize("topic", INPUTS)
async def test_poison_lands_in_the_dead_letters_with_its_bytes_and_stops_nothing(streaming: Streaming, topic: str):
    poison = {
        b"not-json": b"\xff\xfe{" + topic.encode(),
        b"not-ours": json.dumps({"topic": topic}).encode(),
        b"deep": b"[" * 100_000,
        b"null": None,
    }
    for key, value in poison.items():
        await streaming.send(topic, key, value)
    await streaming.send(topic, None, b"no key " + topic.encode())

    async def buried() -> set[tuple[bytes | None, bytes | None]]:
        letters = [decode(m, DeadLetter) for m in await read_all(streaming.settings, "dead_letters")]
        name = getattr(streaming.settings.kafka.topics, topic).name
        return {(letter.key, letter.value) for letter in letters if letter.topic == name}

    wanted = {*poison.items(), (None, b"no key " + topic.encode())}

    async def all_buried() -> bool:
        return await buried() == wanted

    await eventually(all_buried, 15, every_s=0.5)
    camera = f"after-{topic.replace('_', '-')}"
    await streaming.detection(three_groups(camera))

    async def through() -> bool:
        return any(isinstance(m, CameraAssessment) and m.complete for m in await streaming.joined(camera))

    await eventually(through, 20, every_s=0.5)
    await eventually(lambda: idle(streaming), 10, every_s=0.5)


async def test_a_message_under_another_key_than_its_camera_is_buried(streaming: Streaming):
    detection = three_groups("cam-wrong-key")
    await streaming.send("detection_results", b"another", encode(detection))

    async def reasons() -> list[str]:
        letters = [decode(m, DeadLetter) for m in await read_all(streaming.settings, "dead_letters")]
        return [letter.error for letter in letters if letter.key == b"another"]

    (reason,) = await eventually(reasons, 15, every_s=0.5)
    assert "is not the camera id 'cam-wrong-key'" in reason


async def test_a_request_whose_outcomes_do_not_all_come_is_pushed_as_partial(streaming: Streaming):
    group = a_group(0)
    times = StageTimes(captured_at=time.time() - 60, detected_at=time.time() - 60)
    outcome = Expired(
        task_id="cam-late:s:1/0",
        request_id="cam-late:s:1",
        camera_id="cam-late",
        group=group,
        group_count=2,
        deadline=time.time() - 30,
        times=times,
        reason="of the test",
    )
    await streaming.send("risk_assessment_results", b"cam-late", encode(outcome))

    async def pushed() -> list[CameraMessage]:
        return await streaming.joined("cam-late")

    (assessment,) = await eventually(pushed, 15, every_s=0.5)
    assert isinstance(assessment, CameraAssessment)
    assert not assessment.complete
    assert assessment.max_risk_level is None


async def test_all_producers_put_a_camera_into_the_same_partition(streaming: Streaming):
    await streaming.detection(three_groups("cam-where"))
    places: dict[str, set[int]] = {}

    async def everywhere() -> bool:
        for name in INPUTS:
            topic = getattr(streaming.settings.kafka.topics, name)
            found = await records(streaming.settings, topic.name, topic.partitions)
            places[name] = {r.partition for r in found if r.key == b"cam-where"}
        return all(places.values())

    await eventually(everywhere, 20, every_s=0.5)
    assert len(set.union(*places.values())) == 1


async def test_the_stats_page_shows_agents_lag_tables_and_keys_and_no_secret(streaming: Streaming):
    base = f"http://127.0.0.1:{streaming.worker.port}"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base}/stats?format=json") as answer:
            text = await answer.text()
        async with http.get(f"{base}/stats") as answer:
            page = await answer.text()
        statuses = {}
        for path in ("/tables/", "/router/"):
            async with http.get(base + path) as answer:
                statuses[path] = answer.status
    stats = json.loads(text)
    assert set(stats["agents"]) == {"generate_tasks", "learn_verdict", "assess", "join_outcome"}
    assert set(stats["tables"]) == {"camera_state", "key_cooldowns", "pending_assessments"}
    assert len(stats["partitions"]) == 16
    assert {key["id"] for key in stats["api_keys"]} == {"key-001", "key-002", "key-003", "key-004"}
    assert "sk-sim" not in text + page
    assert "<h2>agents</h2>" in page
    assert set(statuses.values()) == {404}


async def test_the_metrics_tell_lag_outcomes_and_dead_letters(streaming: Streaming):
    async def metrics() -> str:
        async with aiohttp.ClientSession() as http, http.get("http://127.0.0.1:19200/metrics") as answer:
            return await answer.text()

    text = await metrics()
    assert 'assessment_tasks_total{outcome="assessed"}' in text
    assert "dead_letters_total{topic=" in text
    assert "kafka_consumer_lag_seconds{topic=" in text
    assert 'vision_stream_events_in_flight{agent="assess"} 0.0' in text


async def test_three_services_with_a_role_each_do_what_one_worker_does(kafka, tmp_path: Path):
    settings = settings_for(kafka, f"roles-{secrets.token_hex(4)}")
    async with open_world(settings, tmp_path) as world:
        workers = [world.worker(role, ALGO_STREAM_ROLES=role) for role in settings.stream_roles]
        await asyncio.gather(*(worker.start() for worker in workers))
        async with Cameras(settings, per_s=10) as cameras:
            await eventually(lambda: len(cameras.taken) >= 20, 20)
        found = await audit(settings, cameras.taken.values(), within_s=30)
        assert not found.lost, f"{found}\n{world.logs()}"
        assert not any(found.repeated.values())
        for role in settings.stream_roles:
            left = await committed(settings.model_copy(update={"stream_roles": (role,)}), inputs=READ_BY[role])
            assert not left


READ_BY = {
    "task_generator": ("detection_results", "camera_assessments"),
    "llm_scheduler": ("assessment_tasks",),
    "result_aggregator": ("risk_assessment_results",),
}
