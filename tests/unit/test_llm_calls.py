"""Each LLM call is one line of the log, however it ends, and holds neither key nor prompt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.llm_parts import CANARY, a_task, keys_for
from tests.unit.test_llm_scheduler import a_scheduler, a_simulator
from tests.waiting import eventually


def calls(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "LLM call"]


async def test_a_call_is_one_line_with_its_key_latency_tokens_and_outcome():
    with capture_logs() as logs:
        async with a_simulator("a", latency_s=0.05) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
            outcome = await scheduler.assess(a_task(7))
    (line,) = calls(logs)
    assert line.pop("latency_s") >= 0.05
    assert line == {
        "event": "LLM call",
        "log_level": "info",
        "outcome": "ok",
        "key": "a",
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "task": "cam-01:s1:7/0",
        "request_id": "cam-01:s1:7",
    }


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("500", "server"), ("429", "rate_limited"), ("401", "unauthorized"), ("wrong_schema", "misfit")],
)
async def test_a_call_that_brings_nothing_says_why_and_the_next_is_a_line_of_its_own(fault: str, outcome: str):
    with capture_logs() as logs:
        async with a_simulator("a", "b") as simulator, a_scheduler(keys_for(simulator)) as scheduler:
            simulator.fault(fault, times=1)
            await scheduler.assess(a_task())
    failed, good = calls(logs)
    assert (failed["outcome"], good["outcome"]) == (outcome, "ok")
    assert failed["why"]
    assert CANARY not in repr(logs)


async def test_a_call_that_is_broken_off_is_a_line_too():
    with capture_logs() as logs:
        async with a_simulator("a", latency_s=30) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
            running = asyncio.ensure_future(scheduler.assess(a_task()))
            await eventually(lambda: simulator.calls or scheduler.pool.snapshot()[0].in_flight)
            running.cancel()
            await asyncio.wait((running,))
    (line,) = calls(logs)
    assert (line["outcome"], line["input_tokens"]) == ("cancelled", 0)
