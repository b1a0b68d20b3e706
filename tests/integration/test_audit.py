"""The audit as a command on real Kafka: of a run put there by hand, with and without defects, and of a real one."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from msgspec.structs import replace

from tests.faults.harness import Cameras, open_world
from tests.faults.harness.world import ROOT, environ_of
from tests.runs import SETTINGS, Run, a_run
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.audit import check
from vision_stream.audit.facts import INPUTS, TABLES
from vision_stream.audit.reader import read
from vision_stream.messages import AssessmentTask, CameraAssessment, CameraMessage, decode
from vision_stream.settings import Settings


async def put(run: Run, settings: Settings) -> None:
    """Make the run's topics what they are in ``run``, committed offsets included."""
    await topics.ensure(settings)
    servers = ",".join(settings.kafka.bootstrap_servers)
    now_ms = int(time.time() * 1000)
    async with AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True) as producer:
        for name, entries in run.topics.items():
            topic = topic_of(settings, name)
            for entry in entries:
                await producer.send(topic, entry.value, key=entry.key, partition=0, timestamp_ms=now_ms)
        await producer.flush()
    ends = {name: len(run.topics[name]) for name in INPUTS}
    places = {TopicPartition(topic_of(settings, name), 0): run.uncommitted.get(name, end) for name, end in ends.items()}
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, group_id=topics.app_id(settings), enable_auto_commit=False
    ) as consumer:
        consumer.assign(list(places))
        await consumer.commit({place: OffsetAndMetadata(offset, "") for place, offset in places.items()})


def topic_of(settings: Settings, name: str) -> str:
    return topics.changelog(settings, name) if name in TABLES else getattr(settings.kafka.topics, name).name


async def audit(environ: dict[str, str], *args: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of ``vision-stream audit --json``."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vision_stream", "audit", "--json", *args,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=environ,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, told = await process.communicate()
    assert process.returncode in (0, 1), told.decode()
    return process.returncode, json.loads(said)


def found(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(finding["invariant"], finding["id"]) for finding in report["findings"]}


def lose_an_outcome(run: Run) -> None:
    run.lose("risk_assessment_results", 0)


def double_a_task(run: Run) -> None:
    run.send("assessment_tasks", "load-0001", run.topics["assessment_tasks"][0].value or b"")
    run.change("assessment_tasks", 20, AssessmentTask, lambda task: replace(task, group_count=1))


def take_a_wrong_maximum(run: Run) -> None:
    entries = run.topics["camera_assessments"]
    at = next(e.offset for e in entries if isinstance(decode(e.value, CameraMessage), CameraAssessment))
    run.change("camera_assessments", at, CameraAssessment, lambda join: replace(join, max_risk_level="none"))


def swap_tasks(run: Run) -> None:
    run.swap("assessment_tasks", 0, 4)


@pytest.fixture
def settings(kafka_settings) -> Settings:
    return kafka_settings(partitions=2, gating=SETTINGS.gating.model_dump())


@pytest.fixture
def environ(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return environ_of(settings, tmp_path, llm_port=9)


async def test_a_sound_run_is_clean_and_the_command_ends_with_0(settings, environ):
    await put(a_run(), settings)

    code, report = await audit(environ, "--strict")

    assert report["findings"] == []
    assert code == 0
    assert report["settled"]
    assert report["checked"]["I7"] == 40


async def test_rows_are_read_where_workers_of_other_roles_have_them_and_not_in_an_empty_changelog(settings):
    others = settings.model_copy(update={"stream_roles": ("task_generator", "llm_scheduler")})
    await topics.ensure(settings)
    run = a_run()
    pending = run.topics.pop("pending_assessments")  # of a role that these have not
    await put(run, others)
    rows = (await read(settings)).topics

    assert len(rows["camera_state"]) == len(run.topics["camera_state"]) > 0
    assert pending
    assert rows["pending_assessments"] == ()


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (lose_an_outcome, ("I2", "load-0001:s1:1/0")),
        (double_a_task, ("I1", "load-0001:s1:1/0")),
        (swap_tasks, ("I10", "load-0001:s1:1/0")),
        (take_a_wrong_maximum, ("I3", "load-0001:s1:1")),
    ],
    ids=["lost", "doubled", "swapped", "wrong maximum"],
)
async def test_a_planted_defect_is_found_and_the_command_ends_with_1(settings, environ, plant, expected):
    run = a_run()
    plant(run)
    await put(run, settings)

    code, report = await audit(environ)

    assert expected in found(report)
    assert code == 1


async def test_a_wedge_is_found_once_it_is_old(settings):
    run = a_run()
    run.uncommitted["assessment_tasks"] = 18
    await put(run, settings)
    facts = await read(settings)

    assert not any(f.invariant == "I5" for f in check(facts, settings).findings)
    wedge = [f for f in check(facts, settings, patience_s=0.0).findings if f.invariant == "I5"]
    assert [finding.id for finding in wedge] == ["assessment_tasks-0@18"]


async def test_since_leaves_out_what_came_before(settings, environ):
    run = a_run()
    lose_an_outcome(run)
    await put(run, settings)

    code, report = await audit(environ, "--since", "0.001s")

    assert code == 0, report["findings"]
    assert report["counts"].get("assessment_tasks", 0) == 0


async def test_following_says_each_finding_once_until_ctrl_c(settings, environ):
    run = a_run()
    lose_an_outcome(run)
    await put(run, settings)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vision_stream", "audit", "--follow", "--every", "1", "--since", "1h",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(60):
        first = await process.stdout.readline()
        await asyncio.sleep(2.5)  # two more rounds
        process.send_signal(signal.SIGINT)
        rest = (await process.stdout.read()).decode().splitlines()
        code = await process.wait()

    assert first.startswith(b"I2   load-0001:s1:1/0: ")
    assert len(rest) == len(set(rest))
    assert first.decode().strip() not in rest
    assert code == 130


@pytest.mark.slow
async def test_a_real_run_with_a_killed_worker_is_clean(kafka_settings, tmp_path: Path):
    settings = kafka_settings(gating={"cooldown_s": 0.0})
    async with open_world(settings, tmp_path) as world:
        worker = world.worker("a")
        await worker.start()
        async with Cameras(settings, cameras=4, per_s=10) as cameras:
            await eventually(lambda: len(cameras.taken) >= 20, 30)
            worker.kill()
            await worker.start()
            await eventually(lambda: len(cameras.taken) >= 50, 30)
        url = yaml.safe_load((tmp_path / "config/api_keys.yaml").read_text())["keys"][0]["base_url"]
        code, report = await audit(world._environ, "--settle", "40", "--llm-calls", url)

    assert code == 0, report["findings"]
    assert report["settled"]
    assert report["counts"]["detection_results"] >= 50
    assert report["checked"]["I1"] == 2 * report["counts"]["detection_results"]
    assert report["checked"]["I3"] == report["counts"]["detection_results"]
    assert report["counts"]["llm_calls"] >= report["counts"]["llm_calls_of_outcomes"]
