"""A process that is told to end: in order; told again, or too late: at once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
STUBBORN = """
import asyncio, signal
from vision_stream import ending
from workers.ending import Ending

async def work():
    print("works", flush=True)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("goes on", flush=True)

async def main():
    await Ending().until_told(asyncio.ensure_future(work()))

asyncio.run(main())
"""
PATIENT_S = 10.0  # what takes milliseconds


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[str]]:
    """A process whose work does not end when it is told to."""
    with subprocess.Popen((sys.executable, "-c", STUBBORN), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        yield process
        process.kill()


def tell(process: subprocess.Popen[str], number: signal.Signals) -> None:
    assert process.stdout is not None
    process.send_signal(number)
    assert process.stdout.readline() == "goes on\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_twice_ends_at_once(stubborn: subprocess.Popen[str], number: signal.Signals):
    tell(stubborn, number)
    stubborn.send_signal(number)
    assert stubborn.wait(PATIENT_S) == 128 + number


def test_a_supervisors_sigterm_after_everybodys_ctrl_c_is_no_second_one(stubborn: subprocess.Popen[str]):
    tell(stubborn, signal.SIGINT)
    stubborn.send_signal(signal.SIGTERM)
    assert stubborn.wait(PATIENT_S) == 130  # the end in order, at its latest
