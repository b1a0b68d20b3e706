"""`vision-stream simulate` as a process."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import cv2
import pytest

COMMAND = [sys.executable, "-m", "vision_stream", "simulate"]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


async def said_base_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for _ in range(5):  # its log comes first
        line = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), 20)
        if found := re.search(r"OPENAI_BASE_URL=(\S+)", line):
            return found[1]
    raise AssertionError("no address was printed")


async def test_an_endpoint_runs_until_ctrl_c_and_exits_130():
    with started("llm", "--port", "0", "--keys", "mine=sk-mine,yours=sk-yours", "--latency", "0") as process:
        base_url = await said_base_url(process)
        headers = {"Authorization": "Bearer sk-yours"}
        async with aiohttp.ClientSession() as http, http.get(f"{base_url}/models", headers=headers) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 10) == 130


async def test_a_taken_port_is_said_with_the_remedy():
    with started("llm", "--port", "0") as process:
        port = (await said_base_url(process)).split(":")[2].partition("/")[0]
        second = await asyncio.to_thread(run, "llm", "--port", port)
    assert second.returncode == 2
    assert "give a free --port" in second.stderr


@pytest.mark.parametrize(
    "arguments",
    [("llm", "--latency", "fast"), ("llm", "--keys", "0"), ("llm", "--keys", "=x"), ("scene", "sim:moon")],
    ids=["latency", "no keys", "no id", "unknown scene"],
)
async def test_a_wrong_option_exits_2_with_a_remedy(arguments):
    done = await asyncio.to_thread(run, *arguments)
    assert done.returncode == 2
    assert "remedy" in done.stderr


async def test_a_scene_is_written_as_pictures_or_as_a_video(tmp_path: Path):
    scene, length = "sim:crossing?width=320&height=180", ("--seconds", "0.5", "--fps", "10")
    for out in ("frames", "video.avi"):
        done = await asyncio.to_thread(run, "scene", scene, "--out", str(tmp_path / out), *length)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "frames").glob("*.jpg"))) == 5
    video = cv2.VideoCapture(str(tmp_path / "video.avi"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    video.release()
