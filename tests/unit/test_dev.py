from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import dev

LOCK = """\
# about

# section: demo
a==1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
b==2 ; sys_platform == 'win32' \\
    --hash=sha256:02

# section: dev
c==3 \\
    --hash=sha256:03

# section: yolo
"""


def test_a_lock_is_read_by_section_with_markers_and_hashes():
    sections = dev.parse_lock(LOCK)
    assert {name: len(blocks) for name, blocks in sections.items()} == {"demo": 2, "dev": 1, "yolo": 0}
    assert sections["demo"][1] == "b==2 ; sys_platform == 'win32' \\\n    --hash=sha256:02\n"


def test_the_projects_lock_pins_and_hashes_everything_once():
    sections = dev.read_lock()
    blocks = [block for name in dev.SECTIONS for block in sections[name]]
    names = [block.split("==")[0] for block in blocks if ";" not in block.splitlines()[0]]

    assert all("==" in block and "--hash=sha256:" in block for block in blocks)
    assert len(names) == len(set(names))


def test_the_demo_needs_neither_torch_nor_ultralytics_nor_the_tests_tools():
    demo = "".join(dev.read_lock()["demo"])
    assert not any(f"\n{name}==" in demo for name in ("torch", "ultralytics", "pytest", "pyright"))


def test_the_lock_names_no_machine():
    text = dev.LOCK.read_text()
    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())


def test_a_flag_is_ours_and_the_rest_goes_on():
    assert dev.take_flag(["-k", "a", "--yolo"], "--yolo") == (True, ["-k", "a"])
    assert dev.take_flag(["-x"], "--yolo") == (False, ["-x"])


def test_all_steps_run_and_the_first_failure_is_the_code(capfd: pytest.CaptureFixture[str]):
    def step(name: str, code: int) -> tuple[str, list[object]]:
        return name, [sys.executable, "-c", f"print('ran {name}'); raise SystemExit({code})"]

    assert dev.run_steps([step("one", 0), step("two", 3), step("three", 1)]) == 3

    said = capfd.readouterr().out
    assert "ran three" in said
    assert "FAILED (3) two" in said


@pytest.mark.parametrize(("value", "is_ci"), [("1", True), ("true", True), ("0", False), ("false", False), ("", False)])
def test_ci_is_what_says_so(monkeypatch: pytest.MonkeyPatch, value: str, is_ci: bool):
    monkeypatch.setenv("CI", value)
    assert dev.in_ci() is is_ci


def test_no_command_prints_the_commands():
    answer = subprocess.run([sys.executable, dev.__file__], capture_output=True, text=True, timeout=20, check=False)
    assert answer.returncode == 2
    assert "demo [ARGS]" in answer.stdout


def test_an_old_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(dev.shutil, "which", lambda _: None)
    assert dev.run_with_newer_python(["test"]) == 2
    assert "needs Python 3.11 or later" in capsys.readouterr().err


def test_what_is_installed_is_not_installed_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    python, marker, lock = tmp_path / "python", tmp_path / "installed.json", tmp_path / "requirements.lock"
    python.touch()
    lock.write_text(LOCK)
    for name, value in {"PYTHON": python, "MARKER": marker, "LOCK": lock, "BIN": tmp_path}.items():
        monkeypatch.setattr(dev, name, value)
    (tmp_path / "uv").touch()
    ran: list[list[str]] = []
    monkeypatch.setattr(dev, "run", lambda command: ran.append([str(part) for part in command]))

    dev.install(("demo", "dev"))
    first = len(ran)
    dev.install(("demo",))
    assert (first, len(ran)) == (2, 2)  # the packages and the project; then nothing

    lock.write_text(LOCK.replace("c==3", "c==4"))
    dev.install(("demo",))
    assert len(ran) == 4
