"""What an upgrade would do, judged from what was seen; the command where no Kafka is needed."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from vision_stream import __version__, metrics
from vision_stream.cli import build
from vision_stream.messages import SCHEMA_VERSION
from vision_stream.probes import Probes, listen
from vision_stream.settings import Settings
from vision_stream.topics import specs
from vision_stream.upgrade import STEPS, judge, processes
from vision_stream.upgrade.broker import Topic

ROOT = Path(__file__).parents[2]
SETTINGS = Settings()
AS_WANTED = {spec.name: Topic(spec.partitions, spec.config) for spec in specs(SETTINGS)}


def test_topics_as_they_should_be_are_one_line():
    [finding] = judge.topics(SETTINGS, AS_WANTED)
    assert (finding.level, finding.text) == ("ok", f"all {len(AS_WANTED)} stay as they are")


def test_a_topic_that_is_missing_one_with_another_retention_and_one_with_other_partitions_are_told_apart():
    there = dict(AS_WANTED)
    del there["dead-letters"]
    there["detection-results"] = Topic(16, {**there["detection-results"].config, "retention.ms": "60000"})
    there["assessment-tasks"] = there["assessment-tasks"]._replace(partitions=32)
    found = {finding.text.split()[0]: finding for finding in judge.topics(SETTINGS, there)}
    assert found.keys() == {"dead-letters", "detection-results", "assessment-tasks"}
    assert "would be added" in found["dead-letters"].text
    assert found["detection-results"].text.endswith("would be changed: retention.ms 60000 -> 3600000")
    assert (found["assessment-tasks"].level, found["assessment-tasks"].exit_code) == ("wrong", 2)


@pytest.mark.parametrize(
    ("versions", "level", "code"),
    [
        ({}, "ok", 0),
        ({"a": frozenset({SCHEMA_VERSION})}, "ok", 0),
        ({"a": frozenset({SCHEMA_VERSION, SCHEMA_VERSION + 1})}, "wrong", 1),
        ({"a": frozenset({0})}, "note", 0),
    ],
    ids=["no messages", "ours", "a newer one", "none of ours"],
)
def test_messages_that_this_version_cannot_read_speak_against_it(versions, level, code):
    [finding] = judge.messages(versions)
    assert (finding.level, finding.exit_code) == (level, code)


def test_processes_of_another_version_are_named():
    assert judge.running({"h:1": __version__}).level == "ok"
    finding = judge.running({"h:1": __version__, "h:2": "0.0.9"})
    assert finding.level == "note"
    assert "h:2" in finding.text
    assert "h:1" not in finding.text


@pytest.mark.parametrize(
    ("exposition", "version"),
    [
        (generate_latest().decode(), __version__),
        ("vision_stream_events_done_total 1\n", processes.UNKNOWN),
        ("node_load1 1\n", None),
        ("<html>", None),
    ],
    ids=["ours", "ours of old", "another exporter", "no metrics"],
)
def test_a_process_is_known_by_its_metrics(exposition: str, version: str | None):
    assert processes.version_in(exposition) == version


async def test_a_process_on_this_host_is_found_and_says_its_version():
    assert metrics.build is not None
    server = listen("127.0.0.1", 0, Probes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        port = server.server_port
        where = {"monitoring": {"prometheus": {"port": port}}, "gateway": {"port": 0}}
        found = await processes.versions(Settings.model_validate(where))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found[f"127.0.0.1:{port}"] == __version__


def test_a_setting_that_this_version_does_not_know_ends_it_with_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text("log_levle: DEBUG\n")
    answer = CliRunner().invoke(build(), ["upgrade", "--dry-run", "--config-dir", str(tmp_path)])
    assert answer.exit_code == 2
    assert "log_levle" in answer.output


def test_the_steps_are_those_of_the_page():
    answer = CliRunner().invoke(build(), ["upgrade"])
    page = re.sub(r"\s+", " ", (ROOT / "docs" / "upgrade.md").read_text())
    assert answer.exit_code == 0
    for number, step in enumerate(STEPS, start=1):
        assert f"{number}. {step}" in answer.output
        assert f"{number}. {step.rstrip('.')}" in page
