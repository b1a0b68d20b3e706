"""Calls that hang while their key says nothing: made again soon, without killing an endpoint that is only slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.llm_parts import TimedClient, a_task
from tests.simulation.clock import VirtualLoop, run
from tests.unit.test_llm_scheduler import Pictures, assess_all
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.llm.silence import AGAIN_S, KNOWN, LATEST, LEAST_S, PATIENCE, PATIENCE_NOW, RECENT, Silence
from vision_stream.messages import Assessed, Failed, GroupAssessment
from vision_stream.settings import LLMSettings, SchedulerSettings

USUAL_S = 0.4
SLOTS = 6  # calls in flight, of all keys


def any_call(call: str) -> bool:
    return True


def answers(silence: Silence[str], *latencies_s: float, at: float = 0.0) -> None:
    for latency_s in latencies_s:
        silence.began("earlier", at - latency_s)
        silence.answered("earlier", at)
        silence.ended("earlier")


def a_key_that_answered(*, in_s: float = USUAL_S) -> Silence[str]:
    """One that is known to take ``in_s`` seconds, and was heard of last at 0."""
    silence = Silence[str]()
    answers(silence, *[in_s] * RECENT)
    return silence


# -- the rule


def test_nothing_is_made_again_while_too_few_answers_say_how_long_one_takes():
    silence = Silence[str]()
    silence.began("first", 0.0)
    assert silence.lost(14.0, any_call) == []


def test_the_oldest_call_of_a_silent_key_sounds_it_then_others_at_growing_distance():
    silence = a_key_that_answered()
    for number in range(5):
        silence.began(f"call {number}", 0.1 * number)
    sounded: list[tuple[float, str]] = []
    for tenths in range(150):
        for call in silence.lost(tenths / 10, any_call):
            silence.ended(call)
            sounded.append((tenths / 10, call))
    assert [call for _, call in sounded] == ["call 0", "call 1", "call 2", "call 3"]
    first = sounded[0][0]
    assert first == LEAST_S
    assert [at - first for at, _ in sounded] == pytest.approx([0.0, AGAIN_S, 3 * AGAIN_S, 7 * AGAIN_S], abs=0.1)


def test_the_first_answer_after_a_silence_tells_which_calls_are_lost():
    silence = a_key_that_answered()
    silence.began("lost", 0.0)
    silence.began("lost later", 2.0)
    silence.began("sounding", 3.0)
    silence.began("begun since", 3.1)
    silence.answered("sounding", 3.4)
    silence.ended("sounding")
    assert silence.lost(3.5, any_call) == ["lost"]
    silence.ended("lost")
    assert silence.lost(2.0 + LEAST_S, any_call) == ["lost later"]  # once it has taken longer than calls do


def test_a_long_call_of_a_key_that_answers_others_is_left_alone():
    silence = a_key_that_answered()
    silence.began("long", 0.0)
    for second in range(1, 15):
        silence.began("other", second - USUAL_S)
        silence.answered("other", float(second))
        silence.ended("other")
        assert silence.lost(second + 0.5, any_call) == []


def test_a_slow_answer_teaches_patience_at_once():
    silence = a_key_that_answered()
    silence.began("first", 0.0)
    silence.began("second", 0.5)
    silence.answered("first", 12.0)
    silence.ended("first")
    assert silence.patience_s == PATIENCE_NOW * 12.0
    assert silence.lost(14.9, any_call) == []


def test_one_long_answer_among_many_makes_a_key_patient_for_a_while_only():
    silence = a_key_that_answered(in_s=1.0)
    answers(silence, 6.0)
    assert silence.patience_s == PATIENCE_NOW * 6.0
    answers(silence, *[1.0] * LATEST)
    silence.lost(0.0, any_call)
    assert silence.patience_s == PATIENCE * 1.0


def test_a_call_that_may_not_be_made_again_sounds_nothing():
    silence = a_key_that_answered()
    silence.began("last attempt", 0.0)
    silence.began("first attempt", 0.1)
    assert silence.lost(5.0, lambda call: call == "first attempt") == ["first attempt"]


# -- the scheduler


class HangingClient(TimedClient):
    """Answers after ``latency()`` seconds; what begins while ``hangs`` never answers."""

    hangs = False

    async def complete(self, *args: Any, timeout_s: float, **rest: Any) -> Any:
        if not self.hangs:
            return await super().complete(*args, timeout_s=timeout_s, **rest)
        self.calls += 1
        try:
            await asyncio.sleep(timeout_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise CallFailed("timeout", "no answer")


def two_keys(**limits: Any) -> LLMSettings:
    url = "http://127.0.0.1:1/v1"
    keys = [{"id": name, "api_key": f"sk-{name}", "base_url": url, **limits} for name in "ab"]
    return LLMSettings.model_validate({"keys": keys})


@asynccontextmanager
async def a_scheduler_on(client: TimedClient, **llm: Any) -> AsyncIterator[LLMScheduler]:
    """With two keys that are known to be quick."""
    scheduler = LLMScheduler(
        two_keys().model_copy(update=llm),
        SchedulerSettings(max_concurrent_tasks=SLOTS),
        Pictures(),
        MemoryCooldowns(),
        client=lambda: client,
    )
    await scheduler.start()
    await assess_all(scheduler, [a_task(n) for n in range(4 * KNOWN)])
    client.calls = 0
    try:
        yield scheduler
        assert all(key.in_flight == 0 for key in scheduler.pool.snapshot())
    finally:
        await scheduler.close()


def in_virtual_time(story: Callable[[], Any]) -> None:
    async def begin(loop: VirtualLoop) -> None:
        await story()

    run(begin, seed=1)


def test_tasks_are_judged_soon_after_an_endpoint_stops_hanging():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client) as scheduler:
            client.hangs = True
            held = asyncio.gather(*(scheduler.assess(a_task(100 + n)) for n in range(2 * SLOTS)))
            await asyncio.sleep(3.5)
            client.hangs = False
            back_at = time.monotonic()
            new = await scheduler.assess(a_task(200))
            assert time.monotonic() - back_at < 3.0  # 12 s, where the slots are held until calls time out
            assert isinstance(new, Assessed)
            assert all(isinstance(outcome, Assessed) for outcome in await held)
            assert time.monotonic() - back_at < 5.0
            assert client.calls <= 2 * SLOTS + 1 + SLOTS + 4  # each held call once more, and the soundings
            assert all(key.state == "ready" for key in scheduler.pool.snapshot())

    in_virtual_time(story)


def test_an_endpoint_that_becomes_slow_keeps_nearly_all_of_its_calls():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client) as scheduler:
            client.latency = lambda: 12.0
            outcomes: list[GroupAssessment] = []
            for round_ in range(4):
                outcomes += await assess_all(scheduler, [a_task(100 * round_ + n + 50) for n in range(SLOTS)])
        assert all(isinstance(outcome, Assessed) for outcome in outcomes)
        assert client.calls - len(outcomes) == client.cancelled
        assert client.cancelled <= 6  # soundings of two keys, in the first round alone

    in_virtual_time(story)


def test_the_only_call_of_an_endpoint_that_becomes_slow_is_answered():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client) as scheduler:
            client.latency = lambda: 12.0
            assert isinstance(await scheduler.assess(a_task(100)), Assessed)
            assert client.cancelled <= 2  # the last of max_attempts has all its time

    in_virtual_time(story)


def test_a_key_back_from_cooling_is_not_held_by_a_probe_that_hangs():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client) as scheduler:
            for key_id in "ab":
                scheduler.pool.cool_until(key_id, time.monotonic() + 5.0, 1, "timeout", now=time.monotonic())
            client.hangs = True
            held = [asyncio.ensure_future(scheduler.assess(a_task(100 + n))) for n in range(SLOTS)]
            await asyncio.sleep(6.0)  # both probes are on their way
            assert client.calls == 2
            client.hangs = False
            await asyncio.gather(*held)
            assert time.monotonic() < 5.0 + LEAST_S + 5 * USUAL_S + 4.0
            assert all(key.state == "ready" for key in scheduler.pool.snapshot())

    in_virtual_time(story)


def test_a_call_made_again_counts_as_one_of_the_attempts():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client, max_attempts=2) as scheduler:
            client.hangs = True
            (outcome,) = await assess_all(scheduler, [a_task(100)])
        assert isinstance(outcome, Failed)
        assert (client.calls, outcome.attempts) == (2, 2)

    in_virtual_time(story)


def test_nothing_is_made_again_where_a_limit_has_no_room():
    async def story() -> None:
        client = HangingClient(lambda: USUAL_S)
        async with a_scheduler_on(client) as scheduler:
            scheduler.reload(two_keys(rpm_limit=1))
            client.hangs = True
            await assess_all(scheduler, [a_task(100)])
            assert client.cancelled == 0

    in_virtual_time(story)
