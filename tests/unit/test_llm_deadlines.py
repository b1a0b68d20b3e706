"""A block ends at its deadline as an ``asyncio.timeout`` does."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from tests.waiting import eventually
from vision_stream.llm.deadlines import STEP_S, Deadlines


async def test_a_block_ends_at_its_deadline_and_never_before():
    loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError), Deadlines().within(0.03):
        await asyncio.Event().wait()

    assert loop.time() - began >= 0.03
    assert not task_is_being_cancelled()


async def test_what_ends_in_time_hears_nothing_of_the_deadline():
    with Deadlines().within(0.01) as block:
        await asyncio.sleep(0)

    await asyncio.sleep(0.01 + 2 * STEP_S)
    assert not block.expired
    assert not task_is_being_cancelled()


async def test_many_blocks_each_end_at_their_own_deadline():
    deadlines, ended = Deadlines(), []

    async def wait(seconds: float) -> None:
        try:
            with deadlines.within(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append(seconds)

    await asyncio.gather(*(wait(seconds) for seconds in (0.2, 0.05, 0.1, 0.05)))
    assert ended == [0.05, 0.05, 0.1, 0.2]


async def test_a_cancellation_from_elsewhere_stays_one():
    async def wait() -> None:
        with Deadlines().within(60):
            asyncio.get_running_loop().call_soon(task().cancel)
            await asyncio.Event().wait()

    await it_is_cancelled(wait())


async def test_a_cancellation_in_the_same_turn_as_the_deadline_is_not_lost():
    async def wait() -> None:
        with Deadlines().within(60) as block:
            asyncio.get_running_loop().call_soon(block.end)
            asyncio.get_running_loop().call_soon(task().cancel)
            await asyncio.Event().wait()

    await it_is_cancelled(wait())


async def test_an_error_that_the_block_ends_with_stays_the_error():
    async def fail() -> None:
        with Deadlines().within(60) as block:
            asyncio.get_running_loop().call_soon(block.end)
            try:
                await asyncio.Event().wait()
            finally:
                raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        await fail()
    assert not task_is_being_cancelled()


async def test_a_block_inside_another_ends_with_the_outer_one():
    inner_ended_by: list[type[BaseException]] = []

    async def wait(deadlines: Deadlines) -> None:
        with deadlines.within(0.01):
            try:
                with deadlines.within(60):
                    await asyncio.Event().wait()
            except BaseException as error:
                inner_ended_by.append(type(error))
                raise

    with pytest.raises(TimeoutError):
        await wait(Deadlines())
    assert inner_ended_by == [asyncio.CancelledError]


async def test_a_block_that_has_ended_is_kept_by_nobody():
    deadlines = Deadlines()

    async def call() -> weakref.ref[asyncio.Task[None]]:
        with deadlines.within(60):
            await asyncio.sleep(0)
        return weakref.ref(task())

    ended = await asyncio.ensure_future(call())

    def gone() -> bool:
        gc.collect()
        return ended() is None

    await eventually(gone)


def task() -> asyncio.Task[None]:
    current = asyncio.current_task()
    assert current is not None
    return current


def task_is_being_cancelled() -> bool:
    return task().cancelling() > 0


async def it_is_cancelled(work) -> None:
    with pytest.raises(asyncio.CancelledError):
        await asyncio.gather(asyncio.ensure_future(work))
