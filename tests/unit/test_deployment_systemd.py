"""The systemd units are accepted by systemd, and say what is promised of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import in_ci
from tests.deployment_files import ENDS_WITHIN_S
from vision_stream.errors import STUCK, ConfigError
from vision_stream.settings import ROLES, SchedulerSettings

UNITS = Path(__file__).parents[2] / "deployment" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def values(unit: Path, name: str) -> list[str]:
    lines = (line.partition("=") for line in unit.read_text().splitlines())
    return [value for key, _, value in lines if key == name]


def test_systemd_accepts_them(tmp_path: Path):
    """Their programs are put where they expect them to be, below a root of the test's."""
    if shutil.which("systemd-analyze") is None:
        (pytest.fail if in_ci() else pytest.skip)("systemd-analyze is not there (Debian's package is `systemd`)")
    names = ["vision-stream.target", "vision-stream-gateway.service", "vision-stream-mqtt.service"]
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/vision-stream/.venv/bin/", f"{tmp_path}/bin/")
        (tmp_path / unit.name).write_text(text)
    for instance in (*(f"worker@{role}" for role in ROLES), "capture@cam-01"):
        template, _, _ = instance.partition("@")
        name = f"vision-stream-{instance}.service"
        (tmp_path / name).write_text((tmp_path / f"vision-stream-{template}@.service").read_text())
        names.append(name)
    (tmp_path / "bin").mkdir()
    for program in ("faust", "vision-stream"):
        (tmp_path / "bin" / program).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / program).chmod(0o755)

    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    ours = [line for line in told.stderr.splitlines() if "vision-stream" in line]
    assert (told.returncode, ours) == (0, []), told.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_process_that_ends_runs_again_unless_its_configuration_is_wrong(unit: Path):
    assert values(unit, "Restart") == ["always"]
    assert values(unit, "RestartPreventExitStatus") == [str(ConfigError.exit_code)]
    assert str(STUCK) not in values(unit, "RestartPreventExitStatus")
    assert values(unit, "StartLimitIntervalSec") == ["0"]  # or systemd gives up after five tries


def test_the_target_wants_a_worker_of_each_role():
    wanted = " ".join(values(UNITS / "vision-stream.target", "Wants")).split()
    assert {f"vision-stream-worker@{role}.service" for role in ROLES} < set(wanted)


def test_a_worker_is_given_longer_to_end_than_an_llm_call_may_take():
    (seconds,) = values(UNITS / "vision-stream-worker@.service", "TimeoutStopSec")
    assert int(seconds) > SchedulerSettings().call_deadline_s + 8
    assert int(seconds) > ENDS_WITHIN_S + 8
