"""A worker that cannot start says why, in a sentence, and ends with the exit code of its kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vision_stream.errors import ConfigError
from vision_stream.server_process import free_ports
from vision_stream.worker import check_modules, first_free_port

ROOT = Path(__file__).parents[2]


def start(directory: Path, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "faust", "-A", "vision_stream", "worker", "--without-web"),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "ALGO_ENABLE_KAFKA_STREAMING": "true", "ALGO_DATA_DIR": str(directory), **environ},
        check=False,
    )


def test_a_wrong_setting_stops_the_start_with_2(tmp_path: Path):
    ended = start(tmp_path, ALGO_KAFKA_SESSION_TIMEOUT_S="soon")
    assert ended.returncode == 2
    assert "session_timeout_s" in ended.stderr.lower()
    assert "Traceback" not in ended.stderr


def test_a_broker_that_is_not_there_ends_the_start_with_3(tmp_path: Path):
    (port,) = free_ports(1)
    ended = start(tmp_path, ALGO_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}", ALGO_KAFKA_CONNECT_TIMEOUT_S="2")
    assert ended.returncode == 3
    assert "Failed to connect to Kafka" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_package_named_agents_is_told_from_ours(tmp_path: Path):
    package = tmp_path / "agents"
    package.mkdir()
    (package / "__init__.py").touch()
    ended = start(tmp_path, PYTHONPATH=str(tmp_path), PYTHONSAFEPATH="1", cwd=tmp_path)
    assert ended.returncode == 2
    assert f"`import agents` gives {package}" in ended.stderr


def test_our_own_agents_and_tables_are_accepted():
    check_modules(ROOT)
    with pytest.raises(ConfigError, match="not Vision Stream's own"):
        check_modules(ROOT / "elsewhere")


def test_a_worker_moves_on_to_a_free_web_port():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert first_free_port("127.0.0.1", port) > port
