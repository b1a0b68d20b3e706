"""What the runbooks tell to do exists: files, containers, services, settings, metrics, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from tests.deployment_files import DEPLOYMENT, ROOT
from tests.unit.test_deployment_compose import APP, INFRA, services
from vision_stream import metrics
from vision_stream.config.schema import leaves

RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in RUNBOOKS.rglob("*.md"))
COMMAND = re.compile(r"docker compose -f (\S+) (logs|restart|exec|up|ps)([^|`)\n]*)")
FLAGS_WITH_VALUE = {"--tail", "--scale", "--format"}


def name(page: Path) -> str:
    return str(page.relative_to(RUNBOOKS))


def each_page(function):  # type: ignore[no-untyped-def]
    return pytest.mark.parametrize("page", PAGES, ids=name)(function)


@each_page
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).is_file(), target


@each_page
def test_containers_and_compose_files_exist(page: Path):
    text = page.read_text()
    containers = set(re.findall(r"docker exec ([\w-]+)", text))
    containers |= set(re.findall(r"docker logs --tail \d+ ([\w-]+)", text))
    assert containers <= services(INFRA).keys()
    for file in re.findall(r"-f (docker-compose\S+\.yml)", text):
        assert (DEPLOYMENT / file).is_file()


@each_page
def test_compose_commands_name_services_that_exist(page: Path):
    for file, _, rest in COMMAND.findall(page.read_text()):
        known = services(INFRA if "infra" in file else APP).keys()
        words = iter(rest.split("&&")[0].split())
        for word in words:
            if word in FLAGS_WITH_VALUE:
                next(words)
            elif word == "vision-stream":
                break  # from here on it is our own command
            elif re.fullmatch(r"[a-z][a-z-]+", word):
                assert word in known, f"{file}: {word}"


@each_page
def test_settings_exist(page: Path):
    known = {".".join(map(str, leaf.path)) for leaf in leaves().values()}
    sections = {path.split(".")[0] for path in known if "." in path}
    for found in re.findall(r"`([a-z]\w*(?:\.\w+)+)`", page.read_text()):
        if found.split(".")[0] in sections:
            assert found in known, found


def known_metrics() -> set[str]:
    assert metrics.in_flight
    ours = {f.name + end for f in REGISTRY.collect() for end in ("", "_total", "_bucket", "_count", "_sum")}
    groups = [
        g for p in (DEPLOYMENT / "prometheus/rules").glob("*.yml") for g in yaml.safe_load(p.read_text())["groups"]
    ]
    return ours | {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}


@each_page
def test_metrics_exist(page: Path):
    text = page.read_text()
    named = set(re.findall(r"vision_stream[_:][\w:]+", text))
    named |= set(
        re.findall(r"\b(?:llm|kafka|api_key|detection|dead_letters)_\w+(?:total|seconds|rate|lag|bucket)\b", text)
    )
    assert named <= known_metrics(), named - known_metrics()


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=name)
def test_both_languages_have_the_same_commands(page: Path):
    def blocks(path: Path) -> list[str]:
        return re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)

    assert blocks(page) == blocks(RUNBOOKS / "zh-CN" / page.name)
