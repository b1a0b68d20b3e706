"""A worker that is told to end: its LLM calls end first, what has not begun is given back, and none is made twice."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from tests.builders import a_detection, a_group, an_object
from tests.faults.harness import committed, open_world
from tests.faults.harness.world import Worker
from tests.waiting import eventually
from vision_stream.messages import encode
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]
LATENCY_S = 5  # of the LLM: above what a rebalance waits
LONGER_S = 12  # of calls that begin meanwhile: these still run when the group has waited for them in vain
CAMERAS = 6
TOLD_TWICE = 128 + signal.SIGTERM


async def send(settings: Settings, sequence: int) -> None:
    """A detection of one new group from each camera: a task each."""
    place, track = 200.0 * sequence, 10 * sequence
    objects = an_object(1, "car", x=place, track_id=track), an_object(2, "person", x=place, track_id=track + 1)
    topic = settings.kafka.topics.detection_results.name
    async with AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers)) as producer:
        for n in range(CAMERAS):
            detection = a_detection(
                a_group(0, *objects), camera_id=f"cam-{n}", sequence=sequence, objects=objects, captured_at=time.time()
            )
            await producer.send_and_wait(topic, encode(detection), key=detection.camera_id.encode())


async def under_way(*workers: Worker) -> int:
    """LLM calls of these workers."""
    stats = [await worker.stats() or {} for worker in workers]
    return sum(key["in_flight"] for each in stats for key in each.get("api_keys", ()))


async def calls(directory: Path) -> list[int]:
    """The status of each call that the LLM has seen, those that were broken off included."""
    keys = yaml.safe_load((directory / "config" / "api_keys.yaml").read_text())["keys"]
    url = keys[0]["base_url"].removesuffix("/v1") + "/calls"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return [call["status"] for call in (await answer.json())["calls"]]


async def members(settings: Settings) -> int:
    """Of the workers' group, as the broker counts them now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([settings.kafka.app_id])
        return len(answer.to_object()["groups"][0]["members"])
    finally:
        await admin.close()


async def slow_down(llm_url: str, delay_s: float | None) -> None:
    """Calls that begin from now on take ``delay_s`` seconds; None: as long as ever. Waits for the LLM to start."""
    fault = {"fault": None} if delay_s is None else {"fault": "slow", "delay_s": delay_s}

    async def told() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.post(f"{llm_url}/control", json=fault) as answer:
                return answer.ok
        except aiohttp.ClientConnectionError:
            return False

    await eventually(told, 20)


async def end(*workers: Worker) -> None:
    """In order: exit code 0, and nothing to see."""
    for worker in workers:
        worker.send(signal.SIGTERM)
    for worker in workers:
        await ended(worker)


async def ended(worker: Worker) -> None:
    assert await worker.process.wait(within_s=40) == 0, worker.process.tail(40)
    assert "Traceback" not in worker.log.read_text()


async def test_no_call_is_made_twice_over_ends_of_workers(kafka_settings, tmp_path: Path):
    settings = kafka_settings(
        kafka={"scheduler": {"max_concurrent_tasks": 4, "task_deadline_s": 300, "call_deadline_s": 59}}
    )
    async with open_world(settings, tmp_path, latency=str(LATENCY_S)) as world:
        for number, names in enumerate((["a"], ["b", "c"]), start=1):  # one alone, then two at once
            workers = [world.worker(name) for name in names]
            await slow_down(world.llm_url, 0.1)  # what was given back is done while the group still gathers
            await asyncio.gather(*(worker.start() for worker in workers))
            left = await committed(settings, within_s=60)
            assert not left, world.logs()
            await slow_down(world.llm_url, None)
            await send(settings, sequence=number)
            await eventually(lambda w=workers: under_way(*w), 20, every_s=0.2)
            await end(*workers)
        await world.worker("last").start()
        left = await committed(settings, within_s=60)
        assert not left, world.logs()
        assert Counter(await calls(tmp_path)) == {200: 2 * CAMERAS}


async def test_a_planned_stop_repeats_no_call_of_the_worker_that_stays(kafka_settings, tmp_path: Path):
    settings = kafka_settings(
        kafka={"scheduler": {"max_concurrent_tasks": 8, "task_deadline_s": 300, "call_deadline_s": 59}}
    )
    async with open_world(settings, tmp_path, latency=str(LATENCY_S)) as world:
        stays, stops = world.worker("stays"), world.worker("stops")
        await asyncio.gather(stays.start(), stops.start())
        await send(settings, sequence=1)
        await eventually(lambda: under_way(stops), 20, every_s=0.2)
        stops.send(signal.SIGTERM)  # leaves the group when its calls have ended
        await slow_down(world.llm_url, LONGER_S)
        await send(settings, sequence=2)

        await ended(stops)

        left = await committed(settings, within_s=60)
        assert not left, world.logs()
        assert Counter(await calls(tmp_path)) == {200: 2 * CAMERAS}


async def test_a_worker_that_ends_says_so_and_ends_within_a_second_when_told_again(kafka_settings, tmp_path: Path):
    settings = kafka_settings()
    (port,) = free_ports(1)

    async def says_that_it_ends() -> bool:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 503 and (await answer.json()).get("ending") == "the worker ends"

    async def told_twice(worker: Worker) -> float:
        """Seconds from the second signal to its end, in the middle of calls."""
        await worker.start()
        await eventually(lambda: under_way(worker), 20, every_s=0.2)
        worker.send(signal.SIGTERM)
        await eventually(says_that_it_ends, 5)
        assert worker.process.running
        told = time.monotonic()
        worker.send(signal.SIGTERM)
        assert await worker.process.wait(within_s=10) == TOLD_TWICE
        took_s = time.monotonic() - told
        assert await members(settings) == 0  # else the others would wait for the session's end
        return took_s

    async with open_world(settings, tmp_path, latency="20") as world:
        worker = world.worker("a", ALGO_MONITORING_PROMETHEUS_PORT=str(port))
        await send(settings, sequence=1)
        took = [await told_twice(worker)]
        while min(took) >= 1.0 and len(took) < 3:  # on a machine so loaded that the signal itself came late
            took.append(await told_twice(worker))
        assert min(took) < 1.0
