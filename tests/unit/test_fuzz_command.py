"""The coverage-guided fuzzer runs: a smoke test, where it is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def fuzz(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = (sys.executable, "-m", "tests.fuzz", *args)
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=100, check=False)


def test_it_runs_a_target_or_says_what_to_install(tmp_path: Path):
    ended = fuzz("commit marks", "--seconds", "1", cwd=tmp_path)

    if importlib.util.find_spec("atheris") is None:
        assert ended.returncode == 1
        assert "remedy: pip install" in ended.stderr
    else:
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert "Done" in ended.stderr
        assert list((tmp_path / "var/fuzz/commit marks").iterdir())
