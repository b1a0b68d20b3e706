"""``vision-stream gateway`` as a user starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer

from tests.gateway_parts import a_detection, a_gateway
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.messages import encode

NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens
PAGE_WITHIN_S = 1.0  # what is promised; a loaded machine is given more


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALGO_")}
    given = {"ENABLE_KAFKA_STREAMING": "true", "KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "ENABLE_REDIS": "false"} | settings
    return kept | {f"ALGO_{name}": value for name, value in given.items()}


@asynccontextmanager
async def running(tmp_path, *args: str, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The process and its address, once it has said it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.gateway", "--port", "0", *args),
        cwd=tmp_path,
        env=environment(**settings) | {"PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        assert line.startswith("Dashboard: "), line
        yield process, line.removeprefix("Dashboard: ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_page_answers_before_kafka_is_up_and_readiness_says_so(tmp_path):
    started = time.monotonic()
    async with running(tmp_path) as (_, url), ClientSession(url) as client:
        async with client.get("/") as page:
            assert page.status == 200
            assert "Vision Stream" in await page.text()
        assert time.monotonic() - started < 10 * PAGE_WITHIN_S

        async def unready() -> bool:
            async with client.get("/readyz") as answer:
                return answer.status == 503 and "kafka" in (await answer.json())["reasons"]

        await eventually(unready)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"])
async def test_it_ends_when_told_and_tells_its_browsers(tmp_path, number, code):
    async with running(tmp_path) as (process, url), ClientSession(url) as client, client.ws_connect("/ws") as ws:
        await ws.receive(timeout=5)
        process.send_signal(number)

        assert (await ws.receive(timeout=5)).data == 1001
        assert await asyncio.wait_for(process.wait(), 10) == code


async def test_cameras_that_change_in_the_file_are_shown_without_a_restart(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    async with running(tmp_path, CONFIG_DIR=str(config)) as (_, url), ClientSession(url) as client:

        async def listed() -> bool:
            # Written each time: when the file is followed from cannot be seen from outside.
            (config / "cameras.yaml").write_text("cameras:\n  - {id: gate, source: 0, name: North gate}\n")
            async with client.get("/api/v1/cameras") as answer:
                return [camera["name"] for camera in (await answer.json())["cameras"]] == ["North gate"]

        await eventually(listed, within_s=20)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
async def test_sighup_takes_the_log_level_over_and_does_not_end_it(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    async with running(tmp_path, CONFIG_DIR=str(config)) as (process, url), ClientSession(url) as client:
        assert process.stderr is not None
        (config / "settings.yaml").write_text("log_level: DEBUG\ngateway: {token: canary-token-0123456789}\n")
        process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while b"configuration read again" not in (line := await process.stderr.readline()):
                pass

        said = json.loads(line)
        assert (said["taken_over"], said["after_a_restart"]) == (["log_level"], ["gateway.token"])
        assert b"canary" not in line
        async with client.get("/healthz") as answer:
            assert answer.status == 200


def end_of(args: Sequence[str], tmp_path, **settings: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "workers.gateway", *args],
        cwd=tmp_path,
        env=environment(**settings) | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return ended.returncode, ended.stderr


def test_without_a_token_it_listens_on_loopback_only(tmp_path):
    code, said = end_of(["--host", "0.0.0.0", "--port", "0"], tmp_path)

    assert code == 2
    assert "gateway.token" in said
    assert "remedy" in said
    assert "Traceback" not in said


def test_without_kafka_streaming_it_says_which_command_is_meant(tmp_path):
    code, said = end_of(["--port", "0"], tmp_path, ENABLE_KAFKA_STREAMING="false")

    assert code == 2
    assert "vision-stream run" in said


async def test_a_taken_port_is_an_error_with_a_remedy(tmp_path):
    async with a_gateway() as other:
        port = other.url.rsplit(":", 1)[1]
        code, said = await asyncio.to_thread(end_of, ["--port", port], tmp_path)

    assert code == 2
    assert f"127.0.0.1:{port}" in said
    assert "Traceback" not in said


def test_the_gateway_does_without_faust_and_the_page_without_kafka():
    script = """
import sys
import workers.gateway.process
assert not {"faust", "aiokafka", "numpy", "cv2", "openai"} & set(sys.modules), sorted(sys.modules)
import workers.gateway.tail
assert "faust" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


async def test_a_detection_on_kafka_reaches_a_browser(tmp_path, kafka_settings):
    settings = kafka_settings(partitions=1)
    await topics.ensure(settings, wait_s=20)
    names = {
        "KAFKA_TOPICS_DETECTION_RESULTS_NAME": settings.kafka.topics.detection_results.name,
        "KAFKA_TOPICS_CAMERA_ASSESSMENTS_NAME": settings.kafka.topics.camera_assessments.name,
        "KAFKA_TOPICS_CAMERA_STATUS_NAME": settings.kafka.topics.camera_status.name,
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.kafka.bootstrap_servers),
    }
    async with running(tmp_path, **names) as (_, url), ClientSession(url) as client:

        async def ready() -> bool:
            async with client.get("/readyz") as answer:
                return answer.status == 200

        await eventually(ready, within_s=20)
        async with client.ws_connect("/ws") as ws:
            await ws.receive(timeout=5)
            await ws.send_json({"type": "subscribe", "cameras": "*"})
            await ws.receive(timeout=5)
            await _produce(settings, names["KAFKA_TOPICS_DETECTION_RESULTS_NAME"])

            assert (await ws.receive_json(timeout=10))["type"] == "detection_result"


async def _produce(settings, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await producer.start()
    await producer.send_and_wait(topic, encode(a_detection()), b"cam-01")
    await producer.stop()
