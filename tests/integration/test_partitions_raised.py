"""Partitions that somebody raised with Kafka's own tools are noticed at the next start, explained, and can be kept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from tests.builders import a_detection, a_group, an_object
from tests.conftest import SettingsMaker
from tests.faults.harness.world import ROOT, World, open_world
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.audit.reader import read
from vision_stream.messages import encode
from vision_stream.settings import MEETING, Settings

CAMERAS = 12


async def alter(settings: Settings, topic: str, partitions: int) -> None:
    """What `kafka-topics.sh --alter --topic ... --partitions ...` sends."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()


async def command(world: World, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, (sys.executable, *argv), cwd=ROOT, env={**os.environ, **world._environ, **environ},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


async def send(settings: Settings, session: str) -> set[str]:
    """A detection of each camera; returns their ids."""
    sent = [
        a_detection(
            a_group(), camera_id=f"cam-{n}", session=session, captured_at=time.time(),
            objects=(an_object(0), an_object(1, x=140)),
        )
        for n in range(CAMERAS)
    ]  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await producer.start()
    try:
        for each in sent:
            topic = settings.kafka.topics.detection_results.name
            await producer.send_and_wait(topic, encode(each), key=each.camera_id.encode())
    finally:
        await producer.stop()
    return {each.detection_id for each in sent}


async def joined(settings: Settings) -> set[str]:
    facts = await read(settings, within_s=20)
    rows = [entry.value or b"" for entry in facts.topics.get("camera_assessments", ())]
    return {word for row in rows for word in row.decode().split('"') if word.startswith("cam-") and ":" in word}


@pytest.mark.slow
async def test_a_worker_refuses_raised_partitions_and_says_how_to_keep_them(
    kafka_settings: SettingsMaker, tmp_path: Path
):
    settings = kafka_settings(partitions=2, gating={"cooldown_s": 0.0})
    async with open_world(settings, tmp_path) as world:
        name = settings.kafka.topics.detection_results.name

        await alter(settings, name, 4)

        refused = await command(world, "-m", "faust", "-A", "vision_stream", "worker", "--without-web")
        assert refused.returncode == 2
        assert f"topic '{name}' has 4, not 2 (config/kafka.yaml: topics.detection_results.partitions)" in refused.stderr
        assert "kafka-topics.sh --alter" in refused.stderr
        assert "each group is judged anew" in refused.stderr
        assert "--raise-partitions" in refused.stderr
        init = await command(world, "scripts/init_kafka_topics.py", "--raise-partitions")
        assert init.returncode == 2  # Kafka never takes partitions away
        assert "To keep 4" in init.stderr

        _set_partitions(tmp_path / "config" / "kafka.yaml", 4)
        kept = await command(world, "scripts/init_kafka_topics.py", "--raise-partitions")
        assert kept.returncode == 0, kept.stderr
        assert f"✓ Topic '{settings.kafka.topics.assessment_tasks.name}' raised (4 partitions)" in kept.stdout
        assert f"✓ Topic '{topics.changelog(settings, 'camera_state')}' raised (4 partitions)" in kept.stdout
        assert "each group is judged anew" in kept.stderr

        await world.worker("worker").start()
        sent = await send(settings, "after")
        await eventually(lambda: _are_joined(settings, sent), within_s=40, every_s=0.5)


async def test_raising_brings_the_changelogs_of_workers_with_one_role_along(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=2)
    alone = settings.model_copy(update={"stream_roles": ("task_generator",)})
    await topics.ensure(alone)

    more = kafka_settings(partitions=3)
    done = await topics.ensure(more, raise_partitions=True)

    assert (topics.changelog(alone, "camera_state"), "raised") in {(spec.name, change) for spec, change in done}
    await topics.ensure(more.model_copy(update={"stream_roles": ("task_generator",)}))


async def _are_joined(settings: Settings, detection_ids: set[str]) -> bool:
    return detection_ids <= await joined(settings)


def _set_partitions(file: Path, partitions: int) -> None:
    kafka = yaml.safe_load(file.read_text())
    for field in MEETING:
        kafka["topics"][field]["partitions"] = partitions
    file.write_text(yaml.safe_dump(kafka))
