"""A call goes on when its handler is broken off, and the next handler of the task takes its answer."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import Pictures, a_simulator
from tests.waiting import eventually
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.outliving import Outliving
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import Assessed, GroupAssessment
from vision_stream.settings import LLMSettings, SchedulerSettings


class Calls:
    """Each ``begin`` is a call that ends when it is answered."""

    def __init__(self) -> None:
        self.under_way = True  # else it waits for a key
        self.begun = 0
        self.cancelled = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def calling(self, task_id: str) -> bool:
        return self.under_way

    async def begin(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
async def calls() -> Calls:
    return Calls()


async def outcome(outliving: Outliving[str], calls: Calls) -> str:
    """As a handler that delivers it takes it."""
    async with outliving.of("task", calls.begin) as said:
        return said


async def broken_off(outliving: Outliving[str], calls: Calls) -> None:
    """A handler that a rebalance ends while it waits."""
    begun = calls.begun
    handler = asyncio.ensure_future(outcome(outliving, calls))
    await eventually(lambda: calls.begun > begun, 1)
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler


async def test_the_next_handler_takes_the_answer_of_a_call_that_went_on(calls: Calls):
    outliving = Outliving[str](calls.calling)
    await broken_off(outliving, calls)

    calls.answer.set_result("high")

    assert await outcome(outliving, calls) == "high"
    assert (calls.begun, calls.cancelled, len(outliving)) == (1, 0, 0)


async def test_what_only_waits_for_a_key_ends_with_its_handler(calls: Calls):
    calls.under_way = False
    outliving = Outliving[str](calls.calling)

    await broken_off(outliving, calls)

    await eventually(lambda: calls.cancelled == 1, 1)
    assert len(outliving) == 0


async def test_an_answer_that_nobody_comes_for_is_dropped(calls: Calls):
    outliving = Outliving[str](calls.calling, kept_s=0.01)

    await broken_off(outliving, calls)

    await eventually(lambda: calls.cancelled == 1, 1)
    assert len(outliving) == 0


async def test_two_handlers_of_one_task_share_its_call(calls: Calls):
    outliving = Outliving[str](calls.calling)
    one, other = (asyncio.ensure_future(outcome(outliving, calls)) for _ in range(2))
    await eventually(lambda: calls.begun == 1, 1)
    calls.under_way = False
    one.cancel()  # does not take the other's answer
    await asyncio.wait((one,))

    calls.answer.set_result("low")

    assert await other == "low"
    assert (calls.begun, calls.cancelled) == (1, 0)


async def test_a_task_that_is_done_is_assessed_anew_when_it_comes_again(calls: Calls):
    outliving = Outliving[str](calls.calling)
    calls.answer.set_result("low")
    await outcome(outliving, calls)

    await outcome(outliving, calls)

    assert calls.begun == 2


async def test_an_outcome_that_could_not_be_delivered_is_there_for_the_next_handler(calls: Calls):
    outliving = Outliving[str](calls.calling)
    calls.answer.set_result("high")
    with pytest.raises(ConnectionError):
        async with outliving.of("task", calls.begin):
            raise ConnectionError("the broker is away")

    assert await outcome(outliving, calls) == "high"
    assert (calls.begun, len(outliving)) == (1, 0)


async def test_an_outcome_that_came_as_its_handler_was_broken_off_is_there_for_the_next(calls: Calls):
    outliving = Outliving[str](calls.calling)
    handler = asyncio.ensure_future(outcome(outliving, calls))
    await eventually(lambda: calls.begun == 1, 1)
    calls.answer.set_result("high")
    handler.cancel()
    await asyncio.wait((handler,))

    calls.under_way = False
    assert await outcome(outliving, calls) == "high"
    assert calls.begun == 1


async def test_closing_ends_what_is_under_way(calls: Calls):
    outliving = Outliving[str](calls.calling)
    await broken_off(outliving, calls)

    await outliving.close()

    assert (calls.cancelled, len(outliving)) == (1, 0)


async def test_what_breaks_is_heard_by_its_handler(calls: Calls):
    outliving = Outliving[str](calls.calling)
    calls.answer.set_exception(RuntimeError("broken"))

    with pytest.raises(RuntimeError, match="broken"):
        await outcome(outliving, calls)

    assert len(outliving) == 0


async def test_a_call_that_failed_is_made_again_only_once_a_handler_waits():
    async with a_simulator("a", "b", latency_s=0.05) as simulator:
        simulator.fault("500", times=1)
        scheduler = LLMScheduler(
            LLMSettings(keys=keys_for(simulator)), SchedulerSettings(), Pictures(), MemoryCooldowns()
        )
        await scheduler.start()
        outliving, task = Outliving[GroupAssessment](scheduler.calling), a_task()

        async def handler() -> GroupAssessment:
            begin = partial(scheduler.assess, task, partial(outliving.wanted, task.task_id))
            async with outliving.of(task.task_id, begin) as said:
                return said

        broken = asyncio.ensure_future(handler())
        await eventually(lambda: scheduler.calling(task.task_id), 5, every_s=0)  # not later: the call fails soon
        broken.cancel()
        await asyncio.gather(broken, return_exceptions=True)
        await eventually(lambda: not scheduler.calling(task.task_id), 5)
        for _ in range(20):  # turns in which the second call would have begun
            await asyncio.sleep(0)
        assert not scheduler.calling(task.task_id)
        assert len(simulator.calls) == 1

        assert isinstance(await handler(), Assessed)
        assert len(simulator.calls) == 2
        await outliving.close()
        await scheduler.close()
