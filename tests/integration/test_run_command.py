"""Mode 1 as a user starts it: one process, a simulated camera, an LLM endpoint, a browser's WebSocket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.server_process import free_ports
from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions
from workers.demo.observer import Observed, observe

pytestmark = [pytest.mark.slow]

SIMULATOR = SimulatorOptions(latency=Fixed(0.2))


@pytest.fixture
async def llm() -> AsyncIterator[LLMSimulator]:
    async with LLMSimulator(SIMULATOR) as simulator:
        yield simulator


async def start(tmp_path: Path, llm: LLMSimulator, *args: str) -> asyncio.subprocess.Process:
    environ = {
        **os.environ,
        "ALGO_CONFIG_DIR": str(tmp_path),
        "OPENAI_API_KEY": SIMULATOR.keys[0].secret,
        "OPENAI_BASE_URL": llm.base_url,
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vision_stream", "run", "--json", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env=environ,
    )


async def test_one_process_detects_assesses_and_pushes(tmp_path: Path, llm: LLMSimulator):
    (port,) = free_ports(1)
    observed, background = Observed(), Background()
    process = await start(tmp_path, llm, "--source", "sim:crossing?seed=1", "--port", str(port))
    background.spawn(observe(f"ws://127.0.0.1:{port}/ws", observed), name="browser")
    try:
        await eventually(lambda: observed.pushes["risk_assessment"] >= 3, within_s=60)
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as page:
            metrics = await page.text()
        process.send_signal(signal.SIGINT)
        said, _ = await asyncio.wait_for(process.communicate(), 15)
    finally:
        await background.close()

    assert process.returncode == 130
    assert json.loads(said)["outcomes"]["assessed"] >= 3
    assert observed.pushes["detection_result"] > 0
    assert 'detection_total{camera="cam-01"}' in metrics
    assert 'assessment_tasks_total{outcome="assessed"}' in metrics


async def test_cameras_that_change_in_the_file_change_in_the_process(tmp_path: Path, llm: LLMSimulator):
    (port,) = free_ports(1)
    cameras = tmp_path / "cameras.yaml"
    cameras.write_text("cameras:\n  - {id: north, source: sim:quiet}\n")
    process = await start(tmp_path, llm, "--port", str(port))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

            async def shown(expected: dict[str, tuple[str, str]]) -> bool:
                """Names and states, by camera."""
                try:
                    async with http.get("/api/v1/cameras") as answer:
                        listed = (await answer.json())["cameras"]
                except aiohttp.ClientError:
                    return False
                return {each["camera_id"]: (each["name"], each["state"]) for each in listed} == expected

            await eventually(lambda: shown({"north": ("north", "online")}), within_s=60)

            cameras.write_text(
                "cameras:\n  - {id: north, source: sim:quiet, enabled: false, name: Old}\n"
                "  - {id: south, source: sim:quiet, name: South gate}\n"
            )

            await eventually(
                lambda: shown({"north": ("Old", "disabled"), "south": ("South gate", "online")}), within_s=30
            )
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 130


async def test_a_source_that_ends_is_assessed_to_its_last_task(tmp_path: Path, llm: LLMSimulator):
    from vision_stream.simulators.scene_files import write_video
    from vision_stream.simulators.traffic import parse_scene

    video = tmp_path / "crossing.avi"
    write_video(parse_scene("sim:crossing?seed=1"), video, seconds=6, fps=5)

    process = await start(tmp_path, llm, "--source", str(video), "--once", "--port", "0")
    said, told = await asyncio.wait_for(process.communicate(), 90)

    assert process.returncode == 0, told.decode()
    summary = json.loads(said)
    assert summary["detections"] > 0
    assert sum(summary["outcomes"].values()) == summary["outcomes"].get("assessed", 0)


async def test_a_source_that_is_not_there_is_said_with_exit_code_1_or_2(tmp_path: Path, llm: LLMSimulator):
    process = await start(tmp_path, llm, "--source", "/nowhere/at/all.mp4", "--once", "--port", "0")

    _, told = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode in (1, 2)
    assert "all.mp4" in told.decode()
    assert "Traceback" not in told.decode()


async def test_a_camera_that_breaks_off_is_said_at_once_and_does_not_end_the_others(tmp_path: Path, llm: LLMSimulator):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    cameras = ("--camera", f"broken={tmp_path / 'broken.mp4'}", "--camera", "here=sim:quiet")
    process = await start(tmp_path, llm, *cameras, "--once", "--port", "0", "--seconds", "12")

    said, told = await asyncio.wait_for(process.communicate(), 60)

    assert json.loads(said)["detections"] > 0
    assert b"camera ended" in told
    assert process.returncode == 0
