import asyncio
import threading

import pytest

from tests.films import picture
from tests.waiting import eventually
from workers.capture.mailbox import Mailbox, SourceEnded
from workers.capture.sources.base import Frame, SourceError


def a_frame(number: float) -> Frame:
    return Frame(picture(), captured_at=1000.0 + number, media_s=number)


async def test_the_newest_frame_wins_and_the_others_are_counted():
    skipped = []
    mailbox, stop = Mailbox(skipped=lambda: skipped.append(1)), threading.Event()
    for number in range(5):
        mailbox.put(a_frame(number), stop)
    assert (await mailbox.take()).media_s == 4
    assert len(skipped) == 4


async def test_a_waiting_taker_is_woken_by_a_frame_from_another_thread():
    mailbox, stop = Mailbox(), threading.Event()
    threading.Timer(0.02, mailbox.put, (a_frame(7), stop)).start()
    async with asyncio.timeout(2):
        assert (await mailbox.take()).media_s == 7


async def test_where_all_are_kept_the_reader_waits_until_its_frame_is_taken():
    mailbox, stop, taken = Mailbox(keep_all=True), threading.Event(), []
    reader = threading.Thread(target=lambda: [mailbox.put(a_frame(n), stop) for n in range(20)], daemon=True)
    reader.start()
    while len(taken) < 20:
        taken.append((await mailbox.take()).media_s)
    assert taken == list(range(20))
    await eventually(lambda: not reader.is_alive())


async def test_a_reader_that_waits_for_room_can_be_stopped():
    mailbox, stop = Mailbox(keep_all=True), threading.Event()
    mailbox.put(a_frame(0), stop)
    reader = threading.Thread(target=mailbox.put, args=(a_frame(1), stop), daemon=True)
    reader.start()
    stop.set()
    await eventually(lambda: not reader.is_alive())


async def test_the_last_frame_is_taken_before_the_end_is_told():
    mailbox, stop = Mailbox(), threading.Event()
    mailbox.put(a_frame(1), stop)
    mailbox.end(SourceEnded())
    assert (await mailbox.take()).media_s == 1
    with pytest.raises(SourceEnded):
        await mailbox.take()


async def test_a_source_that_broke_off_says_so_to_the_taker():
    mailbox = Mailbox()
    mailbox.end(SourceError("gone"))
    with pytest.raises(SourceError, match="gone"):
        await mailbox.take()


def test_a_reader_outlives_the_event_loop_without_a_fuss():
    async def make() -> Mailbox:
        return Mailbox()

    mailbox = asyncio.run(make())
    mailbox.put(a_frame(1), threading.Event())
