"""The scheduler against the LLM simulator over real HTTP: one outcome a task, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from tests.builders import a_group, an_object
from tests.llm_parts import CANARY, JPEG, a_task, keys_for, simulated
from tests.waiting import eventually
from tests.windows import most_in_a_window
from vision_stream.llm.cooldowns import SHED_ROW, Cooldown, MemoryCooldowns, fingerprint, operator_row
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    Expired,
    Failed,
    GroupAssessment,
    InlineEvidence,
    NoEvidence,
    StoredEvidence,
    max_risk,
)
from vision_stream.settings import CoolingSettings, KeySettings, LLMSettings, SchedulerSettings
from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatedKey, SimulatorOptions


class Pictures:
    """An evidence store of one dict."""

    def __init__(self, **pictures: bytes) -> None:
        self.pictures = pictures

    async def put(self, key: str, jpeg: bytes, *, ttl_s: float) -> bool:
        self.pictures[key] = jpeg
        return True

    async def get(self, key: str) -> bytes | None:
        return self.pictures.get(key)

    async def delete(self, *keys: str) -> None:
        for key in keys:
            self.pictures.pop(key, None)


@asynccontextmanager
async def a_simulator(*keys: str | SimulatedKey, latency_s: float = 0.0, **options: Any) -> AsyncIterator[LLMSimulator]:
    known = tuple(simulated(key)[0] if isinstance(key, str) else key for key in keys or ("key-001",))
    whole = {"judge": "hash", **options}
    async with LLMSimulator(SimulatorOptions(keys=known, latency=Fixed(latency_s), **whole)) as simulator:
        yield simulator


@asynccontextmanager
async def a_scheduler(
    keys: Sequence[KeySettings],
    *,
    board: MemoryCooldowns | None = None,
    store: Pictures | None = None,
    min_cooldown: float = 0.2,
    in_flight: int = 50,
    call_deadline_s: float = 20.0,
    limits_dir: Path | None = None,
    **llm: Any,
) -> AsyncIterator[LLMScheduler]:
    scheduler = LLMScheduler(
        LLMSettings(
            keys=tuple(keys),
            cooling=CoolingSettings(min_cooldown=min_cooldown, max_cooldown=max(1.0, min_cooldown)),
            **llm,
        ),
        SchedulerSettings(max_concurrent_tasks=in_flight, call_deadline_s=call_deadline_s),
        store or Pictures(),
        board or MemoryCooldowns(),
        limits_dir=limits_dir,
    )
    await scheduler.start()
    try:
        yield scheduler
        assert all(key.in_flight == 0 for key in scheduler.pool.snapshot())  # no slot leaks, whatever the test did
    finally:
        await scheduler.close()


async def assess_all(scheduler: LLMScheduler, tasks: Sequence[AssessmentTask]) -> list[GroupAssessment]:
    return list(await asyncio.gather(*map(scheduler.assess, tasks)))


def states(scheduler: LLMScheduler) -> dict[str, str]:
    return {key.id: key.state for key in scheduler.pool.snapshot()}


# -- the good case


async def test_a_task_is_assessed_with_all_that_the_outcome_owes():
    async with a_simulator(latency_s=0.05) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        task = a_task()
        outcome = await scheduler.assess(task)
    assert isinstance(outcome, Assessed)
    assert (outcome.task_id, outcome.request_id, outcome.deadline) == (task.task_id, task.request_id, task.deadline)
    assert (outcome.key_id, outcome.model, outcome.attempts) == ("key-001", "vision-sim", 1)
    assert outcome.latency_s >= 0.05
    assert outcome.input_tokens > 0
    assert outcome.times.called_at is not None
    assert outcome.times.answered_at is not None
    assert task.times.captured_at <= outcome.times.called_at < outcome.times.answered_at
    assert isinstance(outcome.group.evidence, NoEvidence)  # the picture does not travel on


async def test_a_picture_is_taken_from_the_evidence_store():
    group = a_group(evidence=StoredEvidence(key="k", expires_at=time.time() + 60))
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), store=Pictures(k=JPEG)) as scheduler:
        assert isinstance(await scheduler.assess(a_task(group=group)), Assessed)
    assert [call.pictures for call in simulator.calls] == [1]


# -- pictures


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (StoredEvidence(key="gone", expires_at=4e9), "not in the evidence store"),
        (StoredEvidence(key="gone", expires_at=1.0), "expired"),
        (StoredEvidence(key="no-picture", expires_at=4e9), "neither JPEG nor PNG"),
        (NoEvidence(reason="too large"), "too large"),
    ],
    ids=["missing", "expired", "not a picture", "never taken"],
)
async def test_without_a_picture_a_task_fails_and_costs_no_call(evidence, reason):
    store = Pictures(**{"no-picture": b"<html>"})
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), store=store) as scheduler:
        outcome = await scheduler.assess(a_task(group=a_group(evidence=evidence)))
    assert isinstance(outcome, Failed)
    assert reason in outcome.reason
    assert simulator.calls == []


async def test_a_load_test_may_go_without_pictures():
    group = a_group(evidence=NoEvidence(reason="simulated load"))
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), require_picture=False) as scheduler:
        assert isinstance(await scheduler.assess(a_task(group=group)), Assessed)
    assert [call.pictures for call in simulator.calls] == [0]


# -- strategies, by the endpoint's log


async def shares(simulator: LLMSimulator, calls: int, **options: Any) -> Counter[str]:
    """How many calls each key got; five are under way at a time."""
    async with a_scheduler(keys_for(simulator), in_flight=5, **options) as scheduler:
        await assess_all(scheduler, [a_task(n) for n in range(calls)])
    return Counter(call.key for call in simulator.calls)


@pytest.mark.parametrize("strategy", ["least_loaded", "round_robin"])
async def test_an_even_load_is_shared_evenly(strategy):
    async with a_simulator(*"abcde", latency_s=0.005) as simulator:
        calls = await shares(simulator, 200, selection_strategy=strategy)
    assert max(calls.values()) <= 1.05 * min(calls.values())


async def test_weighted_shares_by_priority():
    async with a_simulator("big", "mid", "small", latency_s=0.005) as simulator:
        keys = [
            key.model_copy(update={"priority": priority})
            for key, priority in zip(keys_for(simulator), (5, 2, 1), strict=True)
        ]
        async with a_scheduler(keys, in_flight=4, selection_strategy="weighted") as scheduler:
            await assess_all(scheduler, [a_task(n) for n in range(160)])
    assert Counter(call.key for call in simulator.calls) == {"big": 100, "mid": 40, "small": 20}


# -- failures, by kind


@pytest.mark.parametrize(
    "fault", ["401", "403", "429", "500", "503", "timeout", "trickle", "cut", "garbage", "redirect"]
)
async def test_a_failing_key_costs_one_call_and_the_task_goes_to_another(fault):
    async with a_simulator("bad", "good") as simulator:
        simulator.fault(fault, keys=("bad",))
        async with a_scheduler(keys_for(simulator), request_timeout_s=1.0, min_cooldown=10.0) as scheduler:
            outcomes = [await scheduler.assess(a_task(n)) for n in range(6)]
            found = states(scheduler)
    assert all(isinstance(outcome, Assessed) and outcome.key_id == "good" for outcome in outcomes)
    await eventually(lambda: Counter(call.key for call in simulator.calls) == {"bad": 1, "good": 6})
    assert found == {"bad": "disabled" if fault in ("401", "403") else "cooling", "good": "ready"}


@pytest.mark.parametrize("fault", ["401", "403"])
async def test_a_refused_key_is_said_once(fault):
    async with a_simulator("bad", "good", latency_s=0.02) as simulator:
        simulator.fault(fault, keys=("bad",))
        async with a_scheduler(keys_for(simulator)) as scheduler:
            with capture_logs() as logs:
                await assess_all(scheduler, [a_task(n) for n in range(20)])
    assert [log["key"] for log in logs if log["event"] == "API key is disabled"] == ["bad"]


async def test_a_rate_limited_key_cools_for_as_long_as_the_provider_says_and_is_probed_once():
    async with a_simulator(latency_s=0.1) as simulator:
        simulator.fault("429", times=1, retry_after="0.5")
        async with a_scheduler(keys_for(simulator)) as scheduler:
            outcomes = await assess_all(scheduler, [a_task(n) for n in range(1)])
            assert all(isinstance(outcome, Assessed) for outcome in outcomes)
            first, second = simulator.calls
            assert second.at - first.at >= 0.5
            simulator.fault("429", times=1, retry_after="0.3")
            await scheduler.assess(a_task())
            before = len(simulator.calls)
            await assess_all(scheduler, [a_task(n) for n in range(5)])
    assert len(simulator.calls) == before + 5


@pytest.mark.parametrize("what", ["requests", "tokens"])
async def test_a_rate_limited_key_cools_for_as_long_as_the_ratelimit_headers_say(what):
    headers = {f"x-ratelimit-remaining-{what}": "0", f"x-ratelimit-reset-{what}": "450ms"}
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), min_cooldown=5.0) as scheduler:
        simulator.fault("429", times=1, headers=headers)
        assert isinstance(await scheduler.assess(a_task()), Assessed)
        first, second = simulator.calls
    assert 0.45 <= second.at - first.at < 4.0  # not its 5 s of cooldown


async def test_an_http_date_in_retry_after_is_waited_for():
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), min_cooldown=0.1) as scheduler:
        simulator.fault("429", times=1, retry_after="date")
        assert isinstance(await scheduler.assess(a_task()), Assessed)
        first, second = simulator.calls
    assert second.at - first.at >= 0.9  # it names a whole second, about two on


async def test_a_keys_tokens_of_a_minute_hold_against_an_endpoint_that_counts_them():
    key = simulated("a", tpm_limit=20_000)
    async with a_simulator(*key) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        outcomes = await assess_all(scheduler, [a_task(n, deadline_in_s=1.5) for n in range(40)])
    assert {call.status for call in simulator.calls} == {200}
    assert {type(outcome) for outcome in outcomes} == {Assessed, Expired}
    used = sum(call.input_tokens + call.output_tokens for call in simulator.calls)
    assert 8_000 < used <= 20_000  # what was reserved too much comes back when an answer says what it took


async def test_a_refused_connection_costs_one_call_and_the_task_goes_to_another():
    async with a_simulator("good") as simulator:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            [good] = keys_for(simulator)
            nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
            bad = good.model_copy(update={"id": "bad", "base_url": nowhere})
            async with a_scheduler([bad, good], min_cooldown=10.0) as scheduler:
                outcomes = [await scheduler.assess(a_task(n)) for n in range(4)]
                found = states(scheduler)
    assert [(type(outcome), outcome.attempts) for outcome in outcomes] == [(Assessed, 2)] + 3 * [(Assessed, 1)]
    assert found == {"bad": "cooling", "good": "ready"}


async def test_a_request_that_two_keys_cannot_serve_fails_and_leaves_the_keys_alone():
    async with a_simulator("key-001", "key-002", "key-003") as simulator:
        simulator.fault("500", times=2)
        async with a_scheduler(keys_for(simulator), min_cooldown=10.0) as scheduler:
            outcome = await scheduler.assess(a_task())
            found = states(scheduler)
    assert isinstance(outcome, Failed)
    assert "so it is the request" in outcome.reason
    assert outcome.attempts == 2
    assert set(found.values()) == {"ready"}


async def test_a_provider_that_is_overloaded_is_never_the_requests_fault():
    async with a_simulator("key-001", "key-002", "key-003") as simulator:
        simulator.fault("503", times=2)
        async with a_scheduler(keys_for(simulator), min_cooldown=10.0) as scheduler:
            outcome = await scheduler.assess(a_task())
    assert isinstance(outcome, Assessed)
    assert outcome.attempts == 3


async def test_a_bad_request_fails_the_task_and_not_the_key():
    async with a_simulator() as simulator:
        simulator.fault("400", times=1)
        async with a_scheduler(keys_for(simulator)) as scheduler:
            failed, assessed = await scheduler.assess(a_task(1)), await scheduler.assess(a_task(2))
    assert isinstance(failed, Failed)
    assert "refused the request: 400" in failed.reason
    assert isinstance(assessed, Assessed)


@pytest.mark.parametrize("fault", ["wrong_schema", "truncated"])
async def test_an_answer_that_does_not_fit_is_asked_once_more_then_failed_never_none(fault):
    async with a_simulator() as simulator:
        simulator.fault(fault, times=1)
        async with a_scheduler(keys_for(simulator)) as scheduler:
            once = await scheduler.assess(a_task())
            simulator.fault(fault)
            twice = await scheduler.assess(a_task())
            found = states(scheduler)
    assert isinstance(once, Assessed)
    assert once.attempts == 2
    assert isinstance(twice, Failed)
    assert twice.attempts == 2
    assert found == {"key-001": "ready"}  # the key did answer


async def test_a_refusal_by_the_content_filter_fails_at_once():
    async with a_simulator() as simulator:
        simulator.fault("refused")
        async with a_scheduler(keys_for(simulator)) as scheduler:
            outcome = await scheduler.assess(a_task())
    assert isinstance(outcome, Failed)
    assert "content filter" in outcome.reason
    assert outcome.attempts == 1


async def test_attempts_end():
    async with a_simulator("a", "b", "c", "d") as simulator:
        simulator.fault("cut")
        async with a_scheduler(keys_for(simulator), max_attempts=3) as scheduler:
            outcome = await scheduler.assess(a_task())
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("3 LLM calls were made without a usable answer; the last: ")
    assert outcome.attempts == 3


@pytest.mark.parametrize(("most", "attempts"), [("json_object", 2), ("none", 3)])
async def test_an_endpoint_without_schemas_is_asked_in_a_plainer_way_and_that_is_remembered(most, attempts):
    async with a_simulator(structured_output=most) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        first, second = await scheduler.assess(a_task(1)), await scheduler.assess(a_task(2))
    assert isinstance(first, Assessed)
    assert isinstance(second, Assessed)
    assert (first.attempts, second.attempts) == (attempts, 1)


async def test_keys_of_different_endpoints_and_models_work_in_one_pool():
    async with a_simulator("here") as one, a_simulator("there", structured_output="none") as other:
        keys = (*keys_for(one, model="gpt-4o-mini"), *keys_for(other, model="vision-sim"))
        async with a_scheduler(keys) as scheduler:
            outcomes = [await scheduler.assess(a_task(n)) for n in range(4)]
    assert {(outcome.key_id, outcome.model) for outcome in outcomes} == {
        ("here", "gpt-4o-mini"),
        ("there", "vision-sim"),
    }


# -- no key


async def test_with_all_keys_cooling_tasks_wait_for_the_first_and_it_is_said_once():
    async with a_simulator("a", "b") as simulator:
        simulator.fault("429", times=2, retry_after="0.4")
        async with a_scheduler(keys_for(simulator)) as scheduler:
            with capture_logs() as logs:
                outcomes = await assess_all(scheduler, [a_task(n) for n in range(20)])
    assert all(isinstance(outcome, Assessed) for outcome in outcomes)
    said = [log for log in logs if log["event"] == "All API keys are cooling down or disabled"]
    assert len(said) == 1
    assert said[0]["next"].startswith("in 0.")


async def test_with_all_keys_disabled_tasks_wait_until_their_deadline():
    async with a_simulator() as simulator:
        simulator.fault("401")
        async with a_scheduler(keys_for(simulator)) as scheduler:
            with capture_logs() as logs:
                tried = await scheduler.assess(a_task(1, deadline_in_s=0.3))
                began = time.monotonic()
                waited = await scheduler.assess(a_task(2, deadline_in_s=0.3))
                took = time.monotonic() - began
    assert isinstance(tried, Failed)
    assert "401" in tried.reason
    assert isinstance(waited, Expired)
    assert 0.25 < took < 1.0
    assert [log["next"] for log in logs if "All API keys" in log["event"]] == ["never: all are disabled"]


async def test_without_any_key_every_task_fails_with_the_remedy_and_it_is_said_once():
    async with a_scheduler(()) as scheduler:
        with capture_logs() as logs:
            outcomes = await assess_all(scheduler, [a_task(n) for n in range(3)])
    assert all(isinstance(outcome, Failed) and "OPENAI_API_KEY" in outcome.reason for outcome in outcomes)
    assert len(logs) == 1


# -- limits, priorities, deadlines


async def test_at_twice_the_load_no_key_gets_more_than_its_limit_and_nothing_is_refused():
    keys = simulated("a", "b", qps_limit=20)
    # The jitter of a laptop or CI machine on which all else runs too: the simulator notes when it gets to a request.
    async with (
        a_simulator(*keys) as simulator,
        a_scheduler(keys_for(simulator), limit_jitter_s=0.5) as scheduler,
    ):
        outcomes = await assess_all(scheduler, [a_task(n) for n in range(120)])
    assert all(isinstance(outcome, Assessed) and outcome.attempts == 1 for outcome in outcomes)
    assert {call.status for call in simulator.calls} == {200}
    for key in ("a", "b"):
        assert most_in_a_window([call.at for call in simulator.calls if call.key == key], 1.0) <= 20


async def test_a_minutes_limit_holds_and_what_has_no_room_expires_uncalled():
    async with a_simulator(*simulated("a", rpm_limit=5)) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        outcomes = await assess_all(scheduler, [a_task(n, deadline_in_s=1.0) for n in range(8)])
    assert Counter(type(outcome) for outcome in outcomes) == {Assessed: 5, Expired: 3}
    assert len(simulator.calls) == 5


async def test_the_highest_priority_goes_first_then_the_oldest_deadline():
    done: list[str] = []

    async def run(scheduler: LLMScheduler, task: AssessmentTask) -> None:
        await scheduler.assess(task)
        done.append(task.task_id)

    tasks = [
        a_task(task_id="low", priority=10),
        a_task(task_id="late", priority=50, deadline_in_s=20),
        a_task(task_id="soon", priority=50, deadline_in_s=10),
        a_task(task_id="high", priority=90),
    ]
    async with a_simulator(latency_s=0.05) as simulator, a_scheduler(keys_for(simulator), in_flight=1) as scheduler:
        await asyncio.gather(*(run(scheduler, task) for task in [a_task(task_id="first", priority=0), *tasks]))
    assert done == ["first", "high", "soon", "late", "low"]


async def test_a_task_that_comes_too_late_expires_uncalled():
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        outcome = await scheduler.assess(a_task(deadline_in_s=-1.0))
    assert isinstance(outcome, Expired)
    assert simulator.calls == []


async def test_what_cannot_make_its_deadline_expires_before_it_costs_a_call():
    async with a_simulator(latency_s=0.3) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        await assess_all(scheduler, [a_task(n) for n in range(3)])  # now a call is known to take 0.3 s
        outcome = await scheduler.assess(a_task(2, deadline_in_s=0.2))
    assert isinstance(outcome, Expired)
    assert outcome.attempts == 0
    assert len(simulator.calls) == 3


async def test_one_hard_deadline_holds_over_waiting_calls_and_retries():
    async with a_simulator("a", "b", "c") as simulator:
        simulator.fault("timeout")
        async with a_scheduler(keys_for(simulator), request_timeout_s=0.3, call_deadline_s=0.8) as scheduler:
            began = time.monotonic()
            outcome = await scheduler.assess(a_task(deadline_in_s=60))
            took = time.monotonic() - began
    assert isinstance(outcome, Failed)
    assert 0.5 < took < 1.3


async def test_a_short_deadline_is_not_the_keys_fault():
    async with a_simulator(latency_s=0.5) as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        outcome = await scheduler.assess(a_task(deadline_in_s=0.2))
        found = states(scheduler)
    assert isinstance(outcome, Failed)
    assert "no answer within" in outcome.reason
    assert found == {"key-001": "ready"}


async def test_cancelled_tasks_give_back_what_they_hold_waiting_or_calling():
    async with a_simulator(latency_s=0.2) as simulator, a_scheduler(keys_for(simulator), in_flight=2) as scheduler:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(scheduler.assess(a_task(n))) for n in range(6)]
            await eventually(lambda: sum(key.in_flight for key in scheduler.pool.snapshot()) == 2)
            for task in tasks:
                task.cancel()
        assert all(task.cancelled() for task in tasks)
        assert isinstance(await scheduler.assess(a_task(9)), Assessed)


async def test_a_fault_of_our_own_is_an_outcome_too():
    class Broken(Pictures):
        async def get(self, key: str) -> bytes | None:
            raise RuntimeError("no store today")

    group = a_group(evidence=StoredEvidence(key="k", expires_at=4e9))
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), store=Broken()) as scheduler:
        outcome = await scheduler.assess(a_task(group=group))
    assert isinstance(outcome, Failed)
    assert "evidence store failed" in outcome.reason


# -- what schedulers share


async def test_a_key_disabled_on_one_worker_is_disabled_on_the_other_and_after_a_restart():
    board = MemoryCooldowns()
    async with a_simulator("bad", "good") as simulator:
        simulator.fault("401", keys=("bad",))
        async with (
            a_scheduler(keys_for(simulator), board=board) as one,
            a_scheduler(keys_for(simulator), board=board) as other,
        ):
            await one.assess(a_task(1))
            await other.assess(a_task(2))
            assert states(other)["bad"] == "disabled"
        async with a_scheduler(keys_for(simulator), board=board) as restarted:
            await restarted.assess(a_task(3))
    assert Counter(call.key for call in simulator.calls)["bad"] == 1


async def test_a_cooldown_holds_on_the_other_worker():
    board = MemoryCooldowns()
    async with a_simulator("bad", "good") as simulator:
        simulator.fault("503", keys=("bad",))
        async with (
            a_scheduler(keys_for(simulator), board=board, min_cooldown=10.0) as one,
            a_scheduler(keys_for(simulator), board=board) as other,
        ):
            await one.assess(a_task(1))
            await other.assess(a_task(2))
            assert states(other)["bad"] == "cooling"
    assert Counter(call.key for call in simulator.calls) == {"bad": 1, "good": 2}


async def test_a_cooldown_from_a_clock_an_hour_ahead_lasts_as_long_as_it_was_meant_to():
    board, ahead = MemoryCooldowns(), time.time() + 3600
    async with a_simulator("cooled", "good") as simulator:
        keys = keys_for(simulator)
        mine = fingerprint(keys[0].api_key.get_secret_value())
        board.write("cooled", Cooldown(until=ahead + 5, failures=1, reason="429", at=ahead, fingerprint=mine))
        async with a_scheduler(keys, board=board) as scheduler:
            await scheduler.assess(a_task())
            [cooled] = [key for key in scheduler.pool.snapshot() if key.id == "cooled"]
    assert cooled.state == "cooling"
    assert 0 < cooled.cooling_for_s <= 5


async def test_a_replaced_secret_is_another_key():
    board = MemoryCooldowns()
    async with a_simulator("key-001") as simulator:
        [key] = keys_for(simulator)
        wrong = KeySettings(**{**key.model_dump(), "api_key": f"sk-{CANARY}-wrong"})
        async with a_scheduler([wrong], board=board) as scheduler:
            assert isinstance(await scheduler.assess(a_task(1, deadline_in_s=0.3)), Failed)
        async with a_scheduler([key], board=board) as scheduler:
            assert isinstance(await scheduler.assess(a_task(2)), Assessed)


async def test_a_board_that_fails_costs_no_task():
    class Broken(MemoryCooldowns):
        def read(self):
            raise RuntimeError("no table")

        def write(self, key_id, cooldown):
            raise RuntimeError("no table")

    async with a_simulator("bad", "good") as simulator:
        simulator.fault("503", keys=("bad",))
        async with a_scheduler(keys_for(simulator), board=Broken()) as scheduler:
            assert isinstance(await scheduler.assess(a_task()), Assessed)


async def test_a_waiting_task_wakes_when_another_worker_enables_a_key():
    board = MemoryCooldowns()
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator), board=board) as scheduler:
        board.write(operator_row("key-001"), Cooldown(disabled=True, reason="by an operator", at=time.time()))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(scheduler.assess(a_task(deadline_in_s=10.0)))
            await eventually(lambda: states(scheduler) == {"key-001": "disabled"})
            enabled_at = time.time()
            board.write(operator_row("key-001"), Cooldown(at=enabled_at))
        assert isinstance(waiting.result(), Assessed)
    assert simulator.calls[0].at - enabled_at < 0.5  # not at the deadline; milliseconds on a free machine


async def test_an_operators_word_holds_over_what_workers_report_and_over_a_restart():
    board = MemoryCooldowns()
    async with a_simulator("a", "b") as simulator:
        simulator.fault("401", keys=("a",), times=1)
        async with a_scheduler(keys_for(simulator), board=board) as scheduler:
            await scheduler.assess(a_task(1))
            assert states(scheduler) == {"a": "disabled", "b": "ready"}
            board.write(operator_row("a"), Cooldown(at=time.time()))
            board.write(operator_row("b"), Cooldown(disabled=True, at=time.time()))
            await scheduler.assess(a_task(2))
            assert states(scheduler) == {"a": "ready", "b": "disabled"}
        async with a_scheduler(keys_for(simulator), board=board) as restarted:
            await restarted.assess(a_task(3))
            assert states(restarted) == {"a": "ready", "b": "disabled"}


async def test_tasks_below_a_priority_are_shed_without_a_call_and_the_others_are_not():
    board, said = MemoryCooldowns(), "tasks are shed by an operator"
    board.write(SHED_ROW, Cooldown(shed_below=45, at=time.time()))
    async with a_simulator() as simulator:
        with capture_logs() as logs:
            async with a_scheduler(keys_for(simulator), board=board) as scheduler:
                tasks = [a_task(1, priority=44), a_task(2, priority=20), a_task(3, priority=45)]
                low, low_too, high = await assess_all(scheduler, tasks)
                board.write(SHED_ROW, Cooldown(at=time.time()))
                await eventually(lambda: scheduler.shed_below == 0)
                after = await scheduler.assess(a_task(4, priority=20))
    for shed in (low, low_too):
        assert isinstance(shed, Expired)
        assert (shed.reason, shed.attempts) == ("shed", 0)
    assert isinstance(high, Assessed)
    assert isinstance(after, Assessed)
    assert len(simulator.calls) == 2
    assert [line["below"] for line in logs if line["event"] == said] == [45]


async def test_a_task_that_waits_for_a_key_is_shed_as_soon_as_the_word_comes():
    board = MemoryCooldowns()
    async with (
        a_simulator(latency_s=0.5) as simulator,
        a_scheduler(keys_for(simulator), board=board, in_flight=1) as scheduler,
        asyncio.TaskGroup() as group,
    ):
        called = group.create_task(scheduler.assess(a_task(1, priority=20)))
        await eventually(lambda: any(key.in_flight for key in scheduler.pool.snapshot()))
        low = group.create_task(scheduler.assess(a_task(2, priority=20)))
        high = group.create_task(scheduler.assess(a_task(3, priority=90)))
        await eventually(lambda: scheduler._room is not None and scheduler._room.waiting == 2)
        board.write(SHED_ROW, Cooldown(shed_below=45, at=time.time()))
        shed = await low
    assert isinstance(shed, Expired)
    assert shed.reason == "shed"
    assert isinstance(called.result(), Assessed)  # paid for already
    assert isinstance(high.result(), Assessed)


async def test_keys_at_their_limit_are_not_said_to_be_cooling():
    async with a_simulator("a", "b") as simulator:
        simulator.fault("429", times=2, retry_after="0.3")
        async with a_scheduler(keys_for(simulator, qps_limit=50)) as scheduler:
            with capture_logs() as logs:
                outcomes = await assess_all(scheduler, [a_task(n) for n in range(8)])
    assert all(isinstance(outcome, Assessed) for outcome in outcomes)
    assert [call.status for call in simulator.calls].count(429) == 2
    assert not [log for log in logs if "All API keys" in log["event"]]


# -- other settings while it runs


async def test_a_reload_loses_no_call_in_flight_and_waiting_tasks_see_the_new_keys():
    async with a_simulator("a", "b", latency_s=0.3) as simulator:
        a, b = keys_for(simulator, max_concurrent=1)
        async with a_scheduler([a]) as scheduler, asyncio.TaskGroup() as group:
            tasks = [group.create_task(scheduler.assess(a_task(n))) for n in range(2)]
            await eventually(lambda: scheduler.pool.snapshot()[0].in_flight == 1)
            scheduler.reload(LLMSettings(keys=(b,)))
    outcomes = [task.result() for task in tasks]
    assert [(type(outcome), outcome.key_id) for outcome in outcomes] == [(Assessed, "a"), (Assessed, "b")]
    assert (outcomes[1].times.called_at or 0) < (
        outcomes[0].times.answered_at or 0
    )  # the second did not wait for the first


async def test_without_keys_a_reload_brings_some():
    async with a_simulator() as simulator, a_scheduler(()) as scheduler:
        assert isinstance(await scheduler.assess(a_task()), Failed)
        scheduler.reload(LLMSettings(keys=keys_for(simulator)))
        assert isinstance(await scheduler.assess(a_task()), Assessed)


# -- secrets


async def test_no_secret_reaches_an_outcome_a_log_a_snapshot_or_the_board(caplog, capsys):
    structlog.reset_defaults()
    caplog.set_level(logging.DEBUG)
    board = MemoryCooldowns()
    async with a_simulator("a", "b", "c") as simulator, a_scheduler(keys_for(simulator), board=board) as scheduler:
        outcomes = [await scheduler.assess(a_task())]
        for fault in ("500", "503", "429", "cut", "garbage", "wrong_schema", "redirect", "401", "401", "401"):
            simulator.fault(fault, times=1)
            outcomes.append(await scheduler.assess(a_task(deadline_in_s=1.0)))
        shown = [repr(scheduler), repr(scheduler.pool.snapshot()), repr(board.read()), repr(simulator.options)]
    printed = capsys.readouterr()
    shown += [msgspec.json.encode(outcomes).decode(), repr(outcomes), caplog.text, printed.out, printed.err]
    assert "API key is disabled" in printed.out
    assert not [text for text in shown if CANARY in text]


async def test_what_a_model_writes_cannot_name_objects_of_others_or_another_key():
    objects = (an_object(5, "car"), an_object(6, "person", x=140))
    async with a_simulator() as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        outcomes = [await scheduler.assess(a_task(n, objects=objects, prompt_profile=f"{n}")) for n in range(5)]
    for outcome in outcomes:
        assert isinstance(outcome, Assessed)
        assert set(outcome.trigger_object_ids) <= {5, 6}


async def test_a_simulated_scene_is_judged_by_the_truth_in_its_pixels():
    from vision_stream.simulators.traffic import parse_scene

    scene = parse_scene("sim:crossing?seed=1&width=640&height=360")
    truths = {
        max_risk([danger.level for danger in scene.truth(t).dangers]) or "none": t for t in map(float, range(0, 60, 2))
    }
    assert len(truths) > 1
    async with a_simulator(judge="truth") as simulator, a_scheduler(keys_for(simulator)) as scheduler:
        for level, t in truths.items():
            jpeg = cv2.imencode(".jpg", scene.render(t))[1].tobytes()
            outcome = await scheduler.assess(a_task(group=a_group(evidence=InlineEvidence(jpeg=jpeg))))
            assert isinstance(outcome, Assessed)
            assert outcome.risk_level == level
