"""scripts/test_streaming_pipeline.py in its three modes, on a real Kafka and a real worker."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import SettingsMaker
from tests.faults.harness.world import ROOT, World, open_world
from vision_stream.server_process import free_ports


async def script(environ: dict[str, str], *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, result, and what it told on the way."""
    done = await asyncio.to_thread(
        subprocess.run, (sys.executable, "scripts/test_streaming_pipeline.py", "--json", *args), cwd=ROOT,
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


async def test_each_mode_passes_what_works_and_names_what_does_not(kafka_settings: SettingsMaker, tmp_path: Path):
    settings = kafka_settings(partitions=2)
    async with open_world(settings, tmp_path) as world:
        await _no_worker_is_noticed(world)
        await world.worker("worker").start()

        code, result, told = await script(world._environ, "--mode", "e2e", "--duration", "6", "--cameras", "3")
        assert (code, result["wrong"]) == (0, []), told
        assert result["counts"]["delivered"] == 18
        assert result["counts"]["assessed"] == result["counts"]["tasks"] > 0
        assert [row["stage"] for row in result["rows"]][-1] == "end to end"
        assert "detections delivered" in told

        code, result, told = await script(world._environ, "--mode", "consumer", "--timeout", "20")
        assert (code, result["wrong"]) == (0, []), told


async def _no_worker_is_noticed(world: World) -> None:
    code, result, _ = await script(world._environ, "--mode", "producer", "--count", "10")
    assert (code, result["counts"]["delivered"]) == (0, 10)
    code, result, _ = await script(world._environ, "--mode", "consumer", "--timeout", "1")
    assert code == 1
    assert "assessment_tasks within 1 s: does a worker with the task generator run?" in result["wrong"][0]


async def test_a_kafka_that_is_not_there_ends_it_with_3():
    environ = {
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_ports(1)[0]}",
        "ALGO_KAFKA_CONNECT_TIMEOUT_S": "1",
    }
    code, _, told = await script(environ, "--mode", "producer")
    assert code == 3
    assert "Failed to connect to Kafka" in told
    assert "Traceback" not in told
