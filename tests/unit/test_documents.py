"""What the documents name exists: links, settings, commands with their options, scripts, metrics, words of the log."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import typer
from prometheus_client import REGISTRY

from tests.documents import PAGES, ROOT, blocks, name, prose
from vision_stream import metrics
from vision_stream.cli import build
from vision_stream.config.schema import leaves, variables

each_page = pytest.mark.parametrize("page", PAGES, ids=name)
CODE = re.compile(r"`([^`\n]+)`")
OURS = re.compile(r"(?<![\w/.'-])(?<!-n )vision-stream +([a-z][a-z-]*)((?: +[^\s|;&#`]+)*)")
NOT_SETTINGS = {"ALGO_CONFIG_DIR"}  # says where the settings are
MADE_AT_THE_SITE = ("deployment/.env", "deployment/app.env", "deployment/secrets")
LOG_WORDS = (
    "Failed to connect to Kafka",
    "Failed to connect to Redis",
    "All API keys are cooling down or disabled",
    "Redis is away, going on without it",
    "Kafka is away, waiting for it",
    "no API keys configured",
    "message buried",
)


@each_page
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", prose(page)):
        assert (page.parent / unquote(target)).exists(), target


@each_page
def test_environment_variables_are_settings(page: Path):
    known = set(variables()) | {f"{variable}_FILE" for variable in variables()} | NOT_SETTINGS
    named = set(re.findall(r"\bALGO_[A-Z][A-Z_]*[A-Z]\b", page.read_text()))
    assert named <= known, named - known


@each_page
def test_settings_in_code_are_settings(page: Path):
    known = {".".join(map(str, leaf.path)) for leaf in leaves().values()}
    known |= {path.rsplit(".", n)[0] for path in known for n in range(1, path.count(".") + 1)}
    sections = {path.split(".")[0] for path in known if "." in path}
    for words in CODE.findall(prose(page)):
        setting = re.fullmatch(r"[a-z]\w*(\.\w+)+", words) and not words.endswith((".yaml", ".py"))
        if setting and words.split(".")[0] in sections:
            assert words in known, words


def commands_of(page: Path) -> list[tuple[str, str]]:
    """Each ``vision-stream COMMAND REST`` in the page's code."""
    code = "\n".join([*CODE.findall(prose(page)), *(block.text for block in blocks(page))])
    return OURS.findall(code)


@cache
def command_line() -> Any:
    return typer.main.get_command(build())


@each_page
def test_commands_and_their_options_exist(page: Path):
    for verb, rest in commands_of(page):
        command = command_line().commands.get(verb)
        assert command is not None, f"vision-stream {verb}"
        verbs = getattr(command, "commands", {})
        words = rest.split()
        if verbs and words and "|" not in words[0]:
            assert words[0] in verbs, f"vision-stream {verb} {words[0]}"
            command = verbs[words[0]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest):
            assert option in known | {"--help"}, f"vision-stream {verb} {option}"


@each_page
def test_files_that_are_named_exist(page: Path):
    roots = ("scripts", "deployment", "config", "agents", "tables", "workers", "vision_stream", "benchmarks")
    for words in CODE.findall(prose(page)):
        first = words.removeprefix("python ").removeprefix("kubectl apply -k ").split(" ")[0]
        made = first.startswith(MADE_AT_THE_SITE)
        if first.split("/")[0] in roots and "/" in first and not re.search(r"[*{<]", first) and not made:
            assert (ROOT / first).exists(), first


@each_page
def test_metrics_exist(page: Path):
    assert metrics.in_flight
    known = {family.name + end for family in REGISTRY.collect() for end in ("", "_total", "_bucket", "_count", "_sum")}
    named = set(re.findall(r"`(vision_stream_[a-z_]+)[`{]", page.read_text()))
    assert named <= known, named - known


@pytest.mark.parametrize("words", LOG_WORDS)
def test_words_to_look_for_are_the_logs_words_and_are_explained(words: str):
    packages = ("vision_stream", "workers", "agents")
    sources = "\n".join(path.read_text() for package in packages for path in (ROOT / package).rglob("*.py"))
    assert f'"{words}' in sources
    assert words in (ROOT / "docs" / "troubleshooting.md").read_text() + (ROOT / "docs" / "degrading.md").read_text()


def test_the_architecture_says_the_same_in_both_languages():
    def shape(page: Path) -> list[str]:
        text = page.read_text()
        code = [words for words in CODE.findall(text) if re.search(r"[_/-]", words)]
        return [re.sub(r" .*", "", line) for line in re.findall(r"^#+ ", text, re.MULTILINE)] + sorted(code)

    assert shape(ROOT / "docs" / "architecture.md") == shape(ROOT / "docs" / "架构优化实施方案.md")


def test_the_site_is_built_without_a_complaint(tmp_path: Path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "site" / "troubleshooting" / "index.html").is_file()
