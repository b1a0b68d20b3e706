"""scripts/start_streaming_services.sh and stop_streaming_services.sh, run as a user runs them, on a real Kafka."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import a_detection, a_group, an_object
from tests.conftest import SettingsMaker
from tests.faults.harness.world import ROOT, environ_of, open_world
from tests.waiting import eventually
from vision_stream.audit.reader import read
from vision_stream.messages import encode
from vision_stream.server_process import free_ports
from vision_stream.services.process import identify
from vision_stream.settings import Settings

NAMES = ("task_generator", "scheduler", "result_aggregator")


class Scripts:
    """The two scripts in one environment."""

    def __init__(self, environ: dict[str, str], directory: Path) -> None:
        ports = {"ALGO_MONITORING_PROMETHEUS_PORT": str(free_ports(1)[0])}
        self._environ = {**os.environ, **environ, **ports, "PYTHON": sys.executable}
        self.logs = directory / "logs" / "streaming"
        self.run_dir = directory / "var" / "run" / "streaming"

    async def start(self, *args: str) -> subprocess.CompletedProcess[str]:
        return await self._call("start", "--logs", str(self.logs), *args)

    async def stop(self) -> subprocess.CompletedProcess[str]:
        return await self._call("stop")

    async def _call(self, what: str, *args: str) -> subprocess.CompletedProcess[str]:
        command = [f"{ROOT}/scripts/{what}_streaming_services.sh", *args]
        return await asyncio.to_thread(
            subprocess.run, command, env=self._environ, capture_output=True, text=True, timeout=100, check=False
        )

    def pids(self) -> dict[str, int]:
        return {path.stem: int(path.read_text()) for path in self.run_dir.glob("*.pid")}


@pytest.mark.slow
async def test_the_services_start_work_together_and_stop_each_by_a_call_that_may_come_twice(
    kafka_settings: SettingsMaker, tmp_path: Path
):
    settings = kafka_settings(gating={"cooldown_s": 0.0})
    async with open_world(settings, tmp_path, topics_made=False) as world:
        scripts = Scripts(world._environ, tmp_path)
        try:
            first = await scripts.start()
            assert first.returncode == 0, first.stdout + first.stderr
            assert [line for line in first.stdout.splitlines() if line.startswith("✓")] != []
            pids = scripts.pids()
            assert set(pids) == {*NAMES, "supervisor"}
            assert {path.stem for path in scripts.logs.iterdir()} == {*NAMES, "supervisor"}

            again = await scripts.start()
            assert again.returncode == 0
            assert "already running" in again.stdout
            assert scripts.pids() == pids

            await _judged(settings)

            os.kill(pids["supervisor"], signal.SIGKILL)  # the kernel ends the services with it
            await eventually(lambda: not any(map(identify, pids.values())), within_s=10)
            third = await scripts.start()
            assert third.returncode == 0, third.stdout + third.stderr
        finally:
            stopped = await scripts.stop()
        twice = await scripts.stop()

    assert (stopped.returncode, twice.returncode) == (0, 0)
    assert "all services are stopped" in stopped.stdout
    assert "no service was running" in twice.stdout
    assert scripts.pids() == {}


async def test_a_start_without_kafka_says_so_with_the_services_last_lines_and_leaves_nothing_running(
    tmp_path: Path,
):
    (port,) = free_ports(1)
    settings = Settings.model_validate(
        {"kafka": {"bootstrap_servers": [f"127.0.0.1:{port}"], "connect_timeout_s": 0.5}, "enable_redis": False}
    )
    scripts = Scripts(environ_of(settings, tmp_path, llm_port=1), tmp_path)

    failed = await scripts.start()

    assert failed.returncode == 3
    assert f"Failed to connect to Kafka at 127.0.0.1:{port}" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert scripts.pids() == {}


async def _judged(settings: Settings) -> None:
    """A detection goes through all three services."""
    from aiokafka import AIOKafkaProducer

    detection = a_detection(a_group(), captured_at=time.time(), objects=(an_object(0), an_object(1, x=140)))
    producer = AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers))
    await producer.start()
    try:
        topic = settings.kafka.topics.detection_results.name
        await producer.send_and_wait(topic, encode(detection), key=detection.camera_id.encode())
    finally:
        await producer.stop()

    async def joined() -> bool:
        facts = await read(settings, within_s=20)
        return bool(facts.topics.get("camera_assessments"))

    await eventually(joined, within_s=40, every_s=0.5)
