"""Frames in two legs: the next are looked at while the one before is told."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import eventually
from workers.capture.relay import Legs, Relay, Work


class Track:
    """Work whose legs begin and end when the test lets them."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.begin, self.first, self.second = ({number: asyncio.Event() for number in range(5)} for _ in range(3))

    def work(self, number: int) -> Work:
        async def run(legs: Legs) -> None:
            self.did.append(f"waits with {number}")
            await self.begin[number].wait()
            legs.begins()
            self.did.append(f"looks at {number}")
            await self.first[number].wait()
            await legs.second()
            self.did.append(f"tells {number}")
            await self.second[number].wait()
            self.did.append(f"told {number}")

        return run

    def let_all_go(self) -> None:
        for event in [*self.begin.values(), *self.first.values(), *self.second.values()]:
            event.set()


async def through(track: Track, count: int) -> None:
    async with Relay() as relay:
        for number in range(count):
            await relay.start(track.work(number))


async def a_few_turns() -> None:
    """As many turns of the loop as it takes to get from one leg to the next, and more."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_is_told_while_two_are_looked_at_and_no_fourth_stands_in_line():
    track = Track()
    running = asyncio.ensure_future(through(track, 4))
    for number in range(4):
        track.begin[number].set()
    track.first[0].set()
    await eventually(lambda: track.did[-1:] == ["looks at 2"])
    assert {"tells 0", "looks at 1"} <= set(track.did)
    await a_few_turns()
    assert "waits with 3" not in track.did
    track.let_all_go()
    await running
    assert [did for did in track.did if did.startswith("told")] == [f"told {number}" for number in range(4)]


async def test_one_that_waits_for_its_turn_has_none_behind_it():
    track = Track()
    running = asyncio.ensure_future(through(track, 3))
    track.begin[0].set()
    await eventually(lambda: track.did == ["waits with 0", "looks at 0", "waits with 1"])
    track.first[0].set()
    track.second[0].set()
    await eventually(lambda: "told 0" in track.did)
    await a_few_turns()
    assert "waits with 2" not in track.did
    track.let_all_go()
    await running


async def test_one_that_is_seen_sooner_is_told_after_the_one_before():
    track = Track()
    track.let_all_go()
    track.first[0].clear()
    running = asyncio.ensure_future(through(track, 2))
    await eventually(lambda: "looks at 1" in track.did)
    await a_few_turns()
    assert "tells 1" not in track.did
    track.first[0].set()
    await running
    assert track.did[-4:] == ["tells 0", "told 0", "tells 1", "told 1"]


async def test_the_second_is_not_told_before_the_first():
    track = Track()
    track.let_all_go()
    track.second[0].clear()

    running = asyncio.ensure_future(through(track, 2))
    await eventually(lambda: "looks at 1" in track.did)
    await a_few_turns()
    assert "tells 1" not in track.did
    track.second[0].set()
    await running
    assert track.did[-2:] == ["tells 1", "told 1"]


async def test_work_that_is_over_after_its_first_leg_does_not_let_the_next_overtake():
    track, order = Track(), []

    async def only_looks(legs: Legs) -> None:
        order.append("gave up")

    track.begin[0].set()
    track.first[0].set()

    async def all_three() -> None:
        async with Relay() as relay:
            await relay.start(track.work(0))
            await relay.start(only_looks)
            await relay.start(track.work(1))

    running = asyncio.ensure_future(all_three())
    await eventually(lambda: order == ["gave up"])
    await a_few_turns()
    assert "tells 1" not in track.did
    track.let_all_go()
    await running
    assert track.did.index("told 0") < track.did.index("tells 1")


@pytest.mark.parametrize("leg", ["first", "second"])
async def test_a_failure_in_either_leg_ends_the_block_with_it(leg: str):
    started = []

    async def fails(legs: Legs) -> None:
        if leg == "second":
            await legs.second()
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

    async def work(legs: Legs) -> None:
        try:
            await track.work(0)(legs)
        finally:
            ended.append(1)

    async def two() -> None:
        async with Relay() as relay:
            track.begin[0].set()
            track.first[0].set()
            await relay.start(work)
            await eventually(lambda: "tells 0" in track.did)
            track.first[0].clear()
            await relay.start(work)

    running = asyncio.ensure_future(two())
    await eventually(lambda: track.did[-2:] == ["waits with 0", "looks at 0"] and "tells 0" in track.did)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(ended) == 2
