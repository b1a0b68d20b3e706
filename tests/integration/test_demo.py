"""The demo as a user starts it: a process of its own, its report, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(180)]

PORT = 18000
DEMO = (sys.executable, "-m", "vision_stream", "demo", "--headless", "--port", str(PORT))


def start_demo(logs: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, "--logs", str(logs), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def processes_of(logs: Path) -> list[int]:
    """Processes that were told of this demo's directory: its children, and theirs."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            told = (directory / "environ").read_bytes() + (directory / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(logs) in told:
            found.append(int(directory.name))
    return found


def test_a_timed_demo_answers_every_task_and_reports_it(tmp_path: Path):
    demo = start_demo(tmp_path, "--seconds", "25", "--json")

    said, told = demo.communicate(timeout=150)

    assert demo.returncode == 0, told
    report = json.loads(said)
    assert report["unanswered"] == report["unjoined"] == 0
    assert report["outcomes"].get("assessed", 0) > 0, report
    assert report["pushes"]["detection_result"] > 0
    assert report["pushes"]["risk_assessment"] > 0
    assert report["llm_calls"] >= report["outcomes"]["assessed"]
    assert processes_of(tmp_path) == []


def is_ready() -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=2).status == 200
    except OSError:
        return False


async def test_ctrl_c_ends_all_processes_within_ten_seconds(tmp_path: Path):
    demo = start_demo(tmp_path)
    await eventually(is_ready, within_s=90)

    assert_ends_by_ctrl_c(demo)
    assert processes_of(tmp_path) == []


async def test_ctrl_c_is_heard_while_servers_still_start(tmp_path: Path):
    demo = start_demo(tmp_path)
    await eventually(lambda: len(processes_of(tmp_path)) >= 5, within_s=30)

    assert_ends_by_ctrl_c(demo)
    assert processes_of(tmp_path) == []


def assert_ends_by_ctrl_c(demo: subprocess.Popen[str]) -> None:
    asked = time.monotonic()
    demo.send_signal(signal.SIGINT)
    _, told = demo.communicate(timeout=30)
    assert time.monotonic() - asked < 10
    assert demo.returncode == 130, told


async def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path):
    demo = start_demo(tmp_path)
    await eventually(lambda: len(processes_of(tmp_path)) >= 5, within_s=30)

    demo.kill()
    demo.communicate(timeout=10)

    await eventually(lambda: processes_of(tmp_path) == [], within_s=10)
