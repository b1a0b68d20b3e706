import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing

import pytest

from tests.films import picture
from tests.waiting import eventually
from workers.capture.feed import MAX_ABANDONED, Feed, FeedPolicy
from workers.capture.sources.base import Frame, NoFrames, SourceError
from workers.capture.sources.isolated import Isolated

QUICK = FeedPolicy(stall_s=0.1, first_frame_s=0.1, first_retry_s=0.01, max_retry_s=0.02)
Script = Callable[[int, threading.Event], Iterator[Frame]]  # what happens at the n-th opening


class ScriptedSource:
    name = "scripted"
    keep_all = False

    def __init__(self, script: Script, *, live: bool = True) -> None:
        self.live = live
        self.opened = 0
        self._script = script

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        self.opened += 1
        yield from self._script(self.opened, stop)


class States:
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.reasons: list[str] = []

    async def __call__(self, state: str, reason: str) -> None:
        if not self.seen or self.seen[-1] != state:
            self.seen.append(state)
            self.reasons.append(reason)


def a_frame() -> Frame:
    return Frame(picture(), time.time(), time.monotonic())


def feed_of(script: Script, states: States, *, live: bool = True) -> tuple[Feed, ScriptedSource]:
    source = ScriptedSource(script, live=live)
    return Feed(source, changed=states, policy=QUICK), source


async def take(feed: Feed, count: int) -> int:
    taken = 0
    async with asyncio.timeout(5), aclosing(feed.frames()) as frames:
        async for _ in frames:
            taken += 1
            if taken == count:
                break
    return taken


async def test_a_camera_that_breaks_off_is_opened_again_and_says_so():
    def breaks_off_once(opening: int, stop: threading.Event) -> Iterator[Frame]:
        yield a_frame()
        if opening == 1:
            raise SourceError("cable pulled")
        stop.wait(5)

    states = States()
    feed, source = feed_of(breaks_off_once, states)
    assert await take(feed, 2) == 2
    assert source.opened == 2
    assert states.seen == ["online", "reconnecting", "online"]
    assert states.reasons[1] == "cable pulled"


async def test_a_camera_that_is_away_at_first_is_tried_until_it_comes():
    def comes_at_the_fourth_try(opening: int, stop: threading.Event) -> Iterator[Frame]:
        if opening < 4:
            raise SourceError("not there yet")
        yield a_frame()

    states = States()
    feed, source = feed_of(comes_at_the_fourth_try, states)
    await take(feed, 1)
    assert source.opened == 4
    assert states.seen == ["reconnecting", "online"]


async def test_a_stalled_camera_is_noticed_and_opened_again():
    def hangs_once(opening: int, stop: threading.Event) -> Iterator[Frame]:
        yield a_frame()
        stop.wait(30 if opening == 1 else 5)

    states = States()
    feed, _ = feed_of(hangs_once, states)
    await take(feed, 2)
    assert states.seen == ["online", "stalled", "reconnecting", "online"]
    assert "no frames for 0.1 s" in states.reasons[1]


async def test_a_source_that_says_that_it_has_no_frames_is_stalled():
    def silent_once(opening: int, stop: threading.Event) -> Iterator[Frame]:
        if opening == 1:
            raise NoFrames("no frames for 10 s")
        yield a_frame()

    states = States()
    feed, _ = feed_of(silent_once, states)
    await take(feed, 1)
    assert states.seen == ["stalled", "reconnecting", "online"]
    assert states.reasons[0] == "no frames for 10 s"


async def test_a_first_frame_may_take_longer_than_the_next():
    def slow_to_open(opening: int, stop: threading.Event) -> Iterator[Frame]:
        stop.wait(0.5)
        yield a_frame()
        stop.wait(5)

    states, source = States(), ScriptedSource(slow_to_open)
    feed = Feed(source, changed=states, policy=FeedPolicy(stall_s=0.1, first_frame_s=5, first_retry_s=0.01))
    await take(feed, 1)
    assert (source.opened, states.seen) == (1, ["online"])


async def test_a_camera_that_is_away_for_hours_is_tried_until_it_comes_at_waits_within_bounds():
    tries, waits = 1000, list[float]()  # 22.5 s each on average

    def comes_at_last(opening: int, stop: threading.Event) -> Iterator[Frame]:
        if opening <= tries:
            raise SourceError("connection refused")
        yield a_frame()

    async def virtually(seconds: float) -> None:
        waits.append(seconds)
        for reader in [thread for thread in threading.enumerate() if thread.name == "read scripted"]:
            await asyncio.to_thread(reader.join, 10)  # ends within the wait, as it would

    source, states, chance = ScriptedSource(comes_at_last), States(), random.Random(3)
    feed = Feed(source, changed=states, chance=chance.random, sleep=virtually)
    async with asyncio.timeout(60), aclosing(feed.frames()) as frames:
        async for _ in frames:
            break
    assert len(waits) == tries
    assert sum(waits) > 5 * 3600
    for attempt, wait in enumerate(waits):
        longest = min(30.0, 0.5 * 2 ** min(attempt, 10))
        assert longest / 2 <= wait <= longest
    assert len({round(wait, 3) for wait in waits[10:]}) > 900  # jitter: a switch's cameras do not come back as one
    assert states.seen == ["reconnecting", "online"]


def frozen_feed(states: States, script: Script) -> tuple[Feed, ScriptedSource]:
    source = ScriptedSource(script)
    policy = FeedPolicy(stall_s=5, frozen_s=60, first_retry_s=0.01, max_retry_s=0.02)
    return Feed(source, changed=states, policy=policy), source


async def test_a_camera_that_sends_one_picture_for_long_is_opened_again_until_it_moves():
    def frozen_twice(opening: int, stop: threading.Event) -> Iterator[Frame]:
        for second in (0, 30, 59, 61):
            image = picture() if opening < 3 else picture(("car", second, 20, second + 40, 60))
            yield Frame(image, 9999.0 - second, 1000.0 + 100 * opening + second)  # whatever the time of day
            stop.wait(0.05)  # or the newest frame would win
        stop.wait(5)

    states = States()
    feed, source = frozen_feed(states, frozen_twice)
    assert await take(feed, 5) == 5
    assert source.opened == 3
    # The second opening shows the same picture still, and so is not told to be online for a moment.
    assert states.seen == ["online", "stalled", "reconnecting", "stalled", "reconnecting", "online"]
    assert states.reasons[1] == "scripted: the same picture for 60 s"


async def test_a_camera_on_which_little_moves_is_not_frozen():
    def hardly_moves(opening: int, stop: threading.Event) -> Iterator[Frame]:
        for second in range(0, 400, 50):
            yield Frame(picture(("person", 8 + second // 50, 40, 20 + second // 50, 60)), 1000.0, 1000.0 + second)
            stop.wait(0.05)
        stop.wait(5)

    states = States()
    feed, source = frozen_feed(states, hardly_moves)
    assert await take(feed, 6) == 6
    assert (source.opened, states.seen) == (1, ["online"])


async def test_a_read_that_hangs_for_ever_does_not_hold_up_the_end():
    release = threading.Event()

    def deaf(opening: int, stop: threading.Event) -> Iterator[Frame]:
        yield a_frame()
        release.wait(60)  # as a driver does, without a look at `stop`

    feed, _ = feed_of(deaf, States())
    started = time.monotonic()
    await take(feed, 1)
    assert time.monotonic() - started < 1
    release.set()


async def test_a_source_whose_read_hangs_is_read_on_in_a_process_of_its_own():
    release = threading.Event()

    def deaf(opening: int, stop: threading.Event) -> Iterator[Frame]:
        yield a_frame()
        release.wait(60)  # as a driver does, without a look at `stop`

    states, source = States(), ScriptedSource(deaf)
    isolated = Isolated("sim:quiet?width=320&height=240", fps=10)
    policy = FeedPolicy(stall_s=5, first_frame_s=10, first_retry_s=0.01)
    feed = Feed(source, changed=states, policy=policy, isolated=isolated)
    shapes = []
    async with asyncio.timeout(30), aclosing(feed.frames()) as frames:
        async for frame in frames:
            shapes.append(frame.image.shape)
            if len(shapes) == 4:
                break
    release.set()
    assert shapes[1:] == [(240, 320, 3)] * 3
    assert source.opened == 1
    assert states.seen == ["online", "stalled", "reconnecting", "online"]


@pytest.mark.parametrize("isolated", [False, True])
async def test_a_driver_that_hangs_at_each_try_does_not_eat_threads_without_end(isolated: bool):
    release = threading.Event()

    def deaf(opening: int, stop: threading.Event) -> Iterator[Frame]:
        release.wait(60)
        yield a_frame()

    states = States()
    source = ScriptedSource(deaf)
    elsewhere = ScriptedSource(deaf) if isolated else None
    feed = Feed(source, changed=states, policy=QUICK, isolated=elsewhere)
    work = asyncio.ensure_future(take(feed, 1))
    await eventually(lambda: any("hang in the driver" in reason for reason in states.reasons))
    assert source.opened + (elsewhere.opened if elsewhere else 0) == MAX_ABANDONED
    release.set()
    assert await work == 1  # those that hung have ended, so it is tried again


async def test_a_source_that_is_not_live_ends_the_feed_at_its_end():
    def three_frames(opening: int, stop: threading.Event) -> Iterator[Frame]:
        for _ in range(3):
            yield a_frame()

    source = ScriptedSource(three_frames, live=False)
    source.keep_all = True
    assert await take(Feed(source, changed=States(), policy=QUICK), 10) == 3


async def test_a_source_that_is_not_live_and_breaks_off_fails():
    def broken(opening: int, stop: threading.Event) -> Iterator[Frame]:
        raise SourceError("no video")
        yield a_frame()

    feed, _ = feed_of(broken, States(), live=False)
    with pytest.raises(SourceError, match="no video"):
        await take(feed, 1)


async def test_an_unforeseen_failure_of_a_source_is_a_break_without_its_text():
    def raises(opening: int, stop: threading.Event) -> Iterator[Frame]:
        if opening == 1:
            raise ValueError("rtsp://admin:hunter22@host/ is bad")
        yield a_frame()

    states = States()
    feed, _ = feed_of(raises, states)
    await take(feed, 1)
    assert "ValueError" in states.reasons[0]
    assert "hunter22" not in states.reasons[0]


async def test_a_camera_that_comes_back_is_tried_quickly_the_next_time():
    openings: list[float] = []

    def breaks_often(opening: int, stop: threading.Event) -> Iterator[Frame]:
        openings.append(time.monotonic())
        yield a_frame()
        raise SourceError("again")

    source = ScriptedSource(breaks_often)
    feed = Feed(source, changed=States(), policy=FeedPolicy(first_retry_s=0.01, max_retry_s=60), chance=lambda: 1.0)
    await take(feed, 8)  # doubled each time the eighth would come after 1.3 s
    assert openings[-1] - openings[0] < 1.0
