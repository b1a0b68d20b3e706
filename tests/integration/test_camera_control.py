"""Cameras started and stopped over the API of real processes: decoded once, kept over a restart, never lost unsaid."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.background import Background
from vision_stream.errors import DependencyError
from vision_stream.messages import CameraCommand
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from workers.capture.commands import follow
from workers.gateway.kafka_commands import CONFIRM_S, KafkaCommands

pytestmark = [pytest.mark.slow]

API = "/api/v1/cameras"


class Standalone:
    """``vision-stream run`` without a camera, and what its API says."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None) -> int:
        async with self.http.request(method, API + path, json=body) as answer:
            return answer.status

    async def state(self, camera_id: str) -> str:
        async with self.http.get(API) as answer:
            cameras = {camera["camera_id"]: camera["state"] for camera in (await answer.json())["cameras"]}
        return cameras.get(camera_id, "not listed")

    async def has(self, camera_id: str, state: str) -> bool:
        return await self.state(camera_id) == state

    async def detection(self, camera_id: str) -> dict[str, Any] | None:
        async with self.http.get(f"{API}/{camera_id}/latest") as answer:
            return (await answer.json())["detection"]


@asynccontextmanager
async def standalone(directory: Path) -> AsyncIterator[Standalone]:
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vision_stream", "run", "--port", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=directory,
        env={**os.environ, "ALGO_CONFIG_DIR": str(directory), "ALGO_GATEWAY_CAMERA_CONTROL": "true"},
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def answers() -> bool:
                try:
                    async with http.get("/healthz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await eventually(answers, within_s=60)
            yield Standalone(http)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_camera_is_decoded_once_whoever_looks_and_stopped_for_good_until_it_is_started(tmp_path: Path):
    async with standalone(tmp_path) as run:
        wanted = {"camera_id": "yard", "source": "sim:quiet", "fps": 5, "name": "Yard"}
        assert await run.ask("POST", "", wanted) == 201
        first = await eventually(lambda: run.detection("yard"), within_s=60)
        assert first is not None

        assert await run.ask("POST", "", wanted) == 200  # a second viewer wants the same
        async with run.http.ws_connect("/ws") as one, run.http.ws_connect("/ws"):
            await one.send_json({"type": "subscribe", "cameras": ["yard"]})

        async def has_gone_on() -> bool:
            now = await run.detection("yard")
            assert now is not None
            assert now["session"] == first["session"]  # another one would be another decoder's
            return now["sequence"] >= first["sequence"] + 5

        await eventually(has_gone_on, within_s=30)
        assert await run.ask("POST", "/yard/stop", {}) == 200
        await eventually(lambda: run.has("yard", "disabled"), within_s=30)

    async with standalone(tmp_path) as run:
        assert await run.state("yard") == "disabled"
        assert await run.ask("POST", "/yard/start", {}) == 200
        await eventually(lambda: run.has("yard", "online"), within_s=60)
        assert await run.ask("DELETE", "/yard") == 204
        await eventually(lambda: run.has("yard", "not listed"), within_s=30)


@asynccontextmanager
async def gateway(settings: Settings, directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """The gateway's process, where cameras may be controlled."""
    told = {
        "ENABLE_KAFKA_STREAMING": "true",
        "ENABLE_REDIS": "false",
        "GATEWAY_CAMERA_CONTROL": "true",
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.kafka.bootstrap_servers),
        "KAFKA_TOPICS_CAMERA_COMMANDS_NAME": settings.kafka.topics.camera_commands.name,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.gateway", "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=directory,
        env=os.environ | {f"ALGO_{name}": value for name, value in told.items()} | {"PYTHONPATH": os.getcwd()},
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        async with aiohttp.ClientSession(line.removeprefix("Dashboard: ").strip()) as http:
            yield http
    finally:
        process.kill()
        await process.communicate()


async def test_a_command_lies_on_kafka_and_every_gateway_knows_it(tmp_path: Path, kafka_settings):
    settings = kafka_settings(partitions=1)
    await topics.ensure(settings, wait_s=20)
    seen: list[Mapping[str, CameraCommand]] = []
    reading = Background()
    reading.spawn(follow(settings.kafka, seen.append), name="what capture workers read")
    wanted = {"camera_id": "yard", "source": "sim:quiet", "fps": 5}
    try:
        async with gateway(settings, tmp_path) as one, gateway(settings, tmp_path) as other:

            async def taken() -> bool:
                async with one.post(API, json=wanted) as answer:
                    assert answer.status == 201, await answer.text()
                    return True

            async def listed() -> list[tuple[str, str, bool]]:
                async with other.get(API) as answer:
                    cameras = (await answer.json())["cameras"]
                return [(each["camera_id"], each["known_by"], each["watched"]) for each in cameras]

            async def known() -> bool:
                return await listed() == [("yard", "api", True)]

            async def forgotten() -> bool:
                return await listed() == []

            await eventually(taken, within_s=60)
            await eventually(known, within_s=20)
            command = await eventually(lambda: seen[-1].get("yard") if seen else None, within_s=20)
            assert command is not None
            assert (command.action, command.source, command.fps) == ("start", "sim:quiet", 5)
            async with other.delete(f"{API}/yard") as answer:
                assert answer.status == 204
            await eventually(forgotten, within_s=20)
            await eventually(lambda: seen[-1] == {}, within_s=20)
    finally:
        await reading.close()


async def test_a_command_that_kafka_does_not_take_is_an_error_in_time():
    keeper = KafkaCommands(Settings.model_validate({"kafka": {"bootstrap_servers": ["127.0.0.1:9"]}}).kafka)

    async with asyncio.timeout(CONFIRM_S + 10):
        with pytest.raises(DependencyError, match="did not confirm"):
            await keeper.put(CameraCommand(camera_id="yard", action="stop", at=1.0))


async def test_while_kafka_is_away_a_command_is_an_error(tmp_path: Path):
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": ["127.0.0.1:9"]}})
    wanted = {"camera_id": "yard", "source": "sim:quiet"}
    async with gateway(settings, tmp_path) as http, http.post(API, json=wanted) as answer:
        assert (answer.status, (await answer.json())["code"]) == (503, "not_ready")
