"""A release: sdist and wheel are built, and the wheel works in a clean environment with what it depends on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PARTS = ("vision_stream", "agents", "tables", "workers")
BESIDE = ("config", "deployment", "docs", "scripts", "tests")  # in the sdist alone
FILES = (
    *("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "README.zh-CN.md", "LICENSE", "NOTICE"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "DEPLOYMENT_GUIDE.md", "IMPLEMENTATION_SUMMARY.md"),
    *("Makefile", "requirements.lock", "zensical.toml", ".env.example"),
)
SECRETS = (
    "deployment/.env",
    "deployment/app.env",
    "deployment/secrets/redis_url",
    "deployment/kubernetes/secrets.yaml",
)
LEFT_OUT = {"__pycache__", ".gitignore", "secrets"}
KNOWN_PTH = ("__editable__.vision_stream-", "distutils-precedence.pth")  # ours for development, and setuptools'
ACCEPTED = ("MIT", "BSD", "Apache", "PSF-2.0", "Python-2.0", "ISC", "MPL-2.0", "Mozilla", "Zlib", "CC0", "Repoze")
OWN = "vision-stream"  # Apache-2.0, and AGPL-3.0 for the demo model: docs/decisions/0001-licence.md


class Release(NamedTuple):
    wheel: Path
    sdist: Path
    python: Path  # of the clean environment
    home: Path  # an empty directory to run in


def run(*argv: str | Path, cwd: Path, accept: Sequence[int] = (0,)) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in argv], cwd=cwd, env=clean, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode in accept, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Built from a copy, as a build leaves its traces; dependencies in the versions that are installed here."""
    work = tmp_path_factory.mktemp("release")
    for part in (*PARTS, *BESIDE):
        shutil.copytree(ROOT / part, work / "source" / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, work / "source")
    for name in SECRETS:
        (work / "source" / name).parent.mkdir(exist_ok=True)
        (work / "source" / name).write_text("canary")
    uv = BIN / "uv"
    run(uv, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", "dist", "source", cwd=work)
    (wheel,), (sdist,) = (work / "dist").glob("*.whl"), (work / "dist").glob("*.tar.gz")

    frozen = run(uv, "pip", "freeze", "--python", sys.executable, cwd=work).splitlines()
    (work / "versions.txt").write_text("\n".join(line for line in frozen if "==" in line))
    python = work / "clean" / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(uv, "venv", "--python", sys.executable, "clean", cwd=work)
    run(uv, "pip", "install", "--python", python, wheel, "--constraint", "versions.txt", cwd=work)
    (work / "home").mkdir()
    return Release(wheel, sdist, python, work / "home")


@pytest.fixture(scope="module")
def sbom(release: Release) -> dict[str, Any]:
    """What the clean environment consists of, as CycloneDX."""
    program = BIN / "cyclonedx-py"
    run(program, "environment", "--of", "JSON", "-o", "sbom.json", release.python, cwd=release.home.parent)
    return json.loads((release.home.parent / "sbom.json").read_text())


def test_the_wheel_runs_in_a_clean_environment(release: Release):
    program = release.python.parent / "vision-stream"
    assert "vision-stream" in run(program, "version", cwd=release.home)
    assert "services" in run(program, "--help", cwd=release.home)
    checks = json.loads(run(program, "doctor", "--json", cwd=release.home, accept=(0, 1)))["checks"]
    found = {check["name"]: check["level"] for check in checks}
    assert (found["python"], found["versions"], found["model"]) == ("ok", "ok", "ok")


def test_the_faust_command_of_the_wheel_finds_the_app_and_its_agents(release: Release):
    faust = release.python.parent / "faust"
    listed = run(faust, "-A", "vision_stream", "agents", cwd=release.home)
    for agent in ("task_generator", "llm_scheduler", "result_aggregator"):
        assert agent in listed


def test_the_sdist_holds_what_the_wheel_holds(release: Release):
    with tarfile.open(release.sdist) as tar:
        source = {name.partition("/")[2] for name in tar.getnames()}
    with zipfile.ZipFile(release.wheel) as wheel:
        built = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert built - source == set()
    assert {"LICENSE", "NOTICE"} <= source
    assert not [name for name in built if name.startswith(BESIDE)]
    assert {"vision_stream/models/vision-stream-demo.onnx", "workers/gateway/static/index.html"} <= built
    assert not [name for name in built if name.startswith("tests")]


def test_the_sdist_holds_what_somebody_without_a_clone_needs_and_no_password(release: Release):
    with tarfile.open(release.sdist) as tar:
        source = {name.partition("/")[2] for name in tar.getnames() if not name.endswith("/")}
    files = {path.relative_to(ROOT) for folder in BESIDE for path in (ROOT / folder).rglob("*") if path.is_file()}
    wanted = {path.as_posix() for path in files if LEFT_OUT.isdisjoint(path.parts)} - set(SECRETS) | set(FILES)
    assert wanted - source == set()
    assert source.isdisjoint(SECRETS)


def test_nothing_runs_at_the_start_of_python_but_what_is_known(release: Release):
    (folder,) = (release.python.parent.parent / "lib").glob("python*/site-packages")
    assert [path.name for path in folder.glob("*.pth")] == []
    (ours,) = (BIN.parent / "lib").glob("python*/site-packages")
    assert [path.name for path in ours.glob("*.pth") if not path.name.startswith(KNOWN_PTH)] == []


def test_every_package_is_in_the_bill_of_materials_under_a_licence_that_we_accept(sbom: dict[str, Any]):
    licences = {component["name"]: _licences(component) for component in sbom["components"]}
    assert {OWN, "faust-streaming", "aiokafka", "openai"} <= licences.keys()
    del licences[OWN]
    odd = {
        name: found
        for name, found in licences.items()
        if not any(word in found for word in ACCEPTED) or "GPL" in found.replace("LGPL", "")
    }
    assert odd == {}


def _licences(component: dict[str, Any]) -> str:
    told = [each.get("expression") or each["license"].get("id") or each["license"].get("name", "")
            for each in component.get("licenses", [])]  # fmt: skip
    return "; ".join(told)
