"""A log of calls against other settings: what would have waited, expired and cost."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import a_scheduler, a_simulator, assess_all
from vision_stream.cli import build
from vision_stream.llm.replay import Task, read, replay
from vision_stream.messages import encode
from vision_stream.settings import LLMSettings, SchedulerSettings

T0 = 1_795_000_000.0


def llm(*keys: dict[str, Any], **more: Any) -> LLMSettings:
    whole = [{"id": f"key-{n}", "api_key": "sk-canary", "model": "m", **key} for n, key in enumerate(keys)]
    return LLMSettings.model_validate({"keys": whole, "limit_jitter_s": 0.0, **more})


def tasks(count: int, *, every_s: float, latency_s: float = 1.0, deadline_s: float = 20.0, **more: Any) -> list[Task]:
    return [
        Task(at=T0 + n * every_s, deadline=T0 + n * every_s + deadline_s, latency_s=latency_s, **more)
        for n in range(count)
    ]


def test_with_room_enough_nothing_waits():
    report = replay(tasks(100, every_s=0.1), llm({}, {}), SchedulerSettings())
    assert (report.called, report.expired, report.waited_max_s) == (100, 0, 0.0)
    assert set(report.calls.values()) == {50}


def test_a_lower_limit_makes_tasks_wait_and_then_expire():
    report = replay(tasks(200, every_s=0.1, deadline_s=5.0), llm({"qps_limit": 5}), SchedulerSettings())
    assert report.called + report.expired == 200
    assert 0.5 <= report.called / 200 <= 0.7  # half of the load, and what waited at its end
    assert 4.0 < report.waited_max_s <= 5.0


def test_as_many_are_in_flight_as_the_settings_say():
    report = replay(tasks(10, every_s=0.0), llm({}), SchedulerSettings(max_concurrent_tasks=1))
    assert report.waited_max_s == pytest.approx(9.0)


def test_the_more_urgent_goes_first():
    low = tasks(5, every_s=0.0, deadline_s=3.5, priority=10)
    high = tasks(3, every_s=0.0, deadline_s=3.5, priority=90)
    report = replay([*low, *high], llm({"max_concurrent": 1}), SchedulerSettings())
    assert (report.called, report.expired) == (4, 4)


def test_cost_and_budget():
    prices = [{"model": "m", "input_per_million": 10.0, "output_per_million": 100.0}]
    calls = tasks(50, every_s=1.0, input_tokens=1000, output_tokens=50)
    free = replay(calls, llm({}, prices=prices), SchedulerSettings())
    assert free.cost == pytest.approx(50 * 0.015)
    tight = replay(calls, llm({}, prices=prices, budget={"per_day": 0.3}), SchedulerSettings())
    assert tight.cost <= 0.3
    assert tight.called + tight.over_budget == 50


def test_without_keys_all_expires():
    assert replay(tasks(3, every_s=1.0), LLMSettings(), SchedulerSettings()).expired == 3


async def test_what_schedulers_and_simulators_write_can_be_read(tmp_path):
    async with (
        a_simulator(call_log=tmp_path / "calls.jsonl") as simulator,
        a_scheduler(keys_for(simulator)) as scheduler,
    ):
        outcomes = await assess_all(scheduler, [a_task(n) for n in range(4)])
    from_simulator, unread = read((tmp_path / "calls.jsonl").read_bytes().splitlines(), 20.0)
    from_topic, unread_too = read([*(encode(outcome) for outcome in outcomes), b"{", b""], 20.0)
    assert (len(from_simulator), unread, len(from_topic), unread_too) == (4, 0, 4, 1)
    assert {task.deadline for task in from_topic} == {outcome.deadline for outcome in outcomes}
    assert all(task.input_tokens for task in (*from_simulator, *from_topic))


def test_the_command_says_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["vision-stream"])
    log = tmp_path / "calls.jsonl"
    log.write_text("\n".join(json.dumps({"at": T0 + n, "latency_s": 1.0}) for n in range(5)))
    (tmp_path / "api_keys.yaml").write_text("keys: [{id: a, api_key: sk-canary-1}]")
    result = CliRunner().invoke(build(), ["simulate", "replay", str(log), "--config-dir", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["called"] == 5
