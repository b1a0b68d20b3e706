from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from tests.runs import BEGAN, a_run
from vision_stream.audit.call_log import read_calls
from vision_stream.cli.audit import _json, parse_since, text
from vision_stream.errors import ConfigError, DependencyError
from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions
from vision_stream.simulators.llm.calls import Call, CallLog


def test_since_is_so_long_ago_or_a_time():
    assert parse_since("", now=BEGAN) == 0.0
    assert parse_since("90s", now=BEGAN) == BEGAN - 90
    assert parse_since("1.5m", now=BEGAN) == BEGAN - 90
    assert parse_since("2030-01-31T12:00:00+00:00", now=BEGAN) == 1896091200.0
    with pytest.raises(typer.BadParameter):
        parse_since("yesterday", now=BEGAN)


def test_the_text_says_what_holds_what_was_found_and_what_cannot_be_judged():
    run = a_run()
    run.lose("assessment_tasks", 3)

    said = text(run.report())

    assert "I1   1 found" in said
    assert "I3   holds" in said
    assert "I9   not judged" in said
    assert "I1   load-0002:s1:1/1: the gate sent this group, and there is no task" in said


def test_the_json_has_the_ids():
    run = a_run()
    run.lose("assessment_tasks", 3)

    report = json.loads(_json(run.report()))

    assert report["ok"] is False
    assert {"invariant", "id", "what"} == set(report["findings"][0])


async def test_a_call_log_is_read_from_its_file_while_it_is_written(tmp_path: Path):
    path = tmp_path / "calls.jsonl"
    log = CallLog(10, path)
    log.add(Call(key="k", at=BEGAN, status=200, latency_s=0.1))
    log.close()
    with path.open("ab") as file:
        file.write(b'{"key":"k","at":10')

    assert [call.key for call in await read_calls(str(path))] == ["k"]


async def test_a_call_log_is_read_from_the_simulator():
    async with LLMSimulator(SimulatorOptions(latency=Fixed(0.0))) as simulator:
        simulator.log.add(Call(key="k", at=BEGAN, status=200, latency_s=0.1))

        assert [call.key for call in await read_calls(simulator.base_url)] == ["k"]


async def test_what_is_no_call_log_is_said(tmp_path: Path):
    path = tmp_path / "other.json"
    path.write_text('{"a": 1}\n')

    with pytest.raises(ConfigError, match="--llm-calls"):
        await read_calls(str(path))
    with pytest.raises(ConfigError, match="--llm-calls"):
        await read_calls(str(tmp_path / "absent"))
    with pytest.raises(DependencyError):
        await read_calls("http://127.0.0.1:9")
