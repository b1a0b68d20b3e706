"""The benchmark of the capture worker runs, and says what its readers look for."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "capture.py"
pytestmark = pytest.mark.timeout(300)


async def test_each_part_of_the_benchmark_gives_its_figures():
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCHMARK), "--effort", "tiny", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 280)
    assert process.returncode == 0

    *table, last = output.decode().splitlines()
    figures = json.loads(last)
    assert [line for line in table if not line.startswith(" ")] == ["loop", "batch", "cameras", "cluster", "kafka"]
    assert figures["loop"]["fps_ratio"] > 0
    assert set(figures["batch"]["curve"]) == {"1", "2", "4", "8"}
    assert figures["cameras"]["rows"]["1"]["peak_mb"] > 50
    assert figures["cluster"]["median_ms"] > 0
    assert figures["kafka"]["detections"] > 0
    assert figures["kafka"]["message_bytes"] > 500
