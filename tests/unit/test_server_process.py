from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually
from vision_stream.errors import VisionStreamError
from vision_stream.server_process import PORTS, ServerProcess, free_ports, require_free, tail

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def python(code: str, log: Path) -> ServerProcess:
    return ServerProcess("thing", [sys.executable, "-c", code], log=log)


async def test_one_that_ends_when_asked_is_not_killed(tmp_path: Path):
    process = python("import time; print('up', flush=True); time.sleep(60)", tmp_path / "log")
    process.start()
    await eventually(lambda: "up" in process.tail())
    await process.stop(within_s=5)
    assert process.returncode == -signal.SIGTERM


async def test_one_that_does_not_end_is_killed_at_the_limit(tmp_path: Path):
    process = python(STUBBORN, tmp_path / "log")
    process.start()
    await eventually(lambda: "up" in process.tail())
    await process.stop(within_s=0.1)
    assert process.returncode == -signal.SIGKILL


async def test_a_stopped_one_is_woken_to_end(tmp_path: Path):
    process = python("import time; print('up', flush=True); time.sleep(60)", tmp_path / "log")
    process.start()
    await eventually(lambda: "up" in process.tail())
    os.kill(process.pid, signal.SIGSTOP)
    await process.stop(within_s=5)
    assert process.returncode == -signal.SIGTERM


async def test_its_status_and_its_last_words_are_kept(tmp_path: Path):
    process = python("import sys; sys.exit('no: this will not do')", tmp_path / "log")
    process.start()
    assert await process.wait(within_s=5) == 1
    assert process.tail() == "no: this will not do"
    assert not process.running


def test_a_signal_to_what_never_ran_is_an_error_that_says_so(tmp_path: Path):
    with pytest.raises(VisionStreamError, match="thing was not started"):
        _ = python("", tmp_path / "log").pid


def test_free_ports_differ_and_lie_below_the_ephemeral_ones():
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(port in PORTS for port in ports)
    require_free(ports)


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(VisionStreamError, match=f"port {port} is taken"):
            require_free([port])


def test_the_tail_of_no_file_is_empty(tmp_path: Path):
    assert tail(tmp_path / "none") == ""
