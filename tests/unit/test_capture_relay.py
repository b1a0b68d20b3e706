"""Frames in two legs: the next is looked at while the one before is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.waiting import eventually
from workers.capture.relay import Relay, Work


class Track:
    """Work whose legs last until the test lets them end."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.first, self.second = ({number: asyncio.Event() for number in range(5)} for _ in range(2))

    def work(self, number: int) -> Work:
        async def run(second_leg: Callable[[], Awaitable[None]]) -> None:
            self.did.append(f"looks at {number}")
            await self.first[number].wait()
            await second_leg()
            self.did.append(f"tells {number}")
            await self.second[number].wait()
            self.did.append(f"told {number}")

        return run

    def let_all_go(self) -> None:
        for event in [*self.first.values(), *self.second.values()]:
            event.set()


async def test_the_next_is_looked_at_while_one_is_told_and_no_third():
    track = Track()

    async def all_three() -> None:
        async with Relay() as relay:
            for number in range(3):
                await relay.start(track.work(number))

    running = asyncio.ensure_future(all_three())
    track.first[0].set()
    await eventually(lambda: track.did == ["looks at 0", "tells 0", "looks at 1"])
    track.first[1].set()
    track.second[0].set()
    await eventually(lambda: track.did[3:] == ["told 0", "tells 1", "looks at 2"])
    track.let_all_go()
    await running
    assert track.did[-1] == "told 2"


async def test_the_second_is_not_told_before_the_first():
    track = Track()
    track.let_all_go()
    track.second[0].clear()

    async def both() -> None:
        async with Relay() as relay:
            for number in range(2):
                await relay.start(track.work(number))

    running = asyncio.ensure_future(both())
    await eventually(lambda: "looks at 1" in track.did)
    for _ in range(5):  # as often as it takes to get from one leg to the next, and more
        await asyncio.sleep(0)
    assert "tells 1" not in track.did
    track.second[0].set()
    await running
    assert track.did[-2:] == ["tells 1", "told 1"]


async def test_work_that_is_over_after_its_first_leg_does_not_let_the_next_overtake():
    track, order = Track(), []

    async def only_looks(second_leg: Callable[[], Awaitable[None]]) -> None:
        order.append("gave up")

    track.first[0].set()

    async def all_three() -> None:
        async with Relay() as relay:
            await relay.start(track.work(0))
            await relay.start(only_looks)
            order.append("the third may begin")

    running = asyncio.ensure_future(all_three())
    await eventually(lambda: order == ["gave up"])
    track.second[0].set()
    await running
    assert track.did[-1] == "told 0"


@pytest.mark.parametrize("leg", ["first", "second"])
async def test_a_failure_in_either_leg_ends_the_block_with_it(leg: str):
    started = []

    async def fails(second_leg: Callable[[], Awaitable[None]]) -> None:
        if leg == "second":
            await second_leg()
        raise OSError(f"in the {leg}")

    async def all_three() -> None:
        async with Relay() as relay:
            for number in range(3):
                await relay.start(fails)
                started.append(number)

    with pytest.raises(OSError, match=leg):
        await all_three()
    assert len(started) <= 1


async def test_a_cancelled_block_cancels_both_that_run():
    track, ended = Track(), []

    async def work(second_leg: Callable[[], Awaitable[None]]) -> None:
        try:
            await track.work(0)(second_leg)
        finally:
            ended.append(1)

    async def two() -> None:
        async with Relay() as relay:
            track.first[0].set()
            await relay.start(work)
            track.first[0].clear()
            await relay.start(work)

    running = asyncio.ensure_future(two())
    await eventually(lambda: track.did == ["looks at 0", "tells 0", "looks at 0"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(ended) == 2
