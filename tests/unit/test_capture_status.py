"""A camera's status: told when it is news, with since when."""

from __future__ import annotations

import asyncio

import pytest

from vision_stream.messages import CameraStatus, Detection
from workers.capture.status import StatusTeller, tell_refused


class Told:
    def __init__(self) -> None:
        self.statuses: list[CameraStatus] = []
        self.now = 100.0
        self.teller = StatusTeller("gate", self, clock=lambda: self.now)

    async def status(self, status: CameraStatus, /) -> None:
        self.statuses.append(status)

    async def detection(self, detection: Detection, /) -> None:
        raise AssertionError("a status teller tells of no detection")

    @property
    def rows(self) -> list[tuple[str, str, float]]:
        return [(each.state, each.reason, each.since) for each in self.statuses]


async def test_a_state_is_told_once_with_since_when():
    told = Told()
    for told.now in (100.0, 101.0, 102.0):
        await told.teller.change("online", "")
    assert told.rows == [("online", "", 100.0)]


async def test_another_reason_of_the_same_state_is_told_and_the_state_is_as_old_as_it_was():
    told = Told()
    await told.teller.change("reconnecting", "it ended")
    told.now = 107.0
    await told.teller.change("reconnecting", "401: user or password is wrong or missing")
    await told.teller.change("reconnecting", "401: user or password is wrong or missing")
    assert told.rows == [
        ("reconnecting", "it ended", 100.0),
        ("reconnecting", "401: user or password is wrong or missing", 100.0),
    ]
    assert told.statuses[1].at == 107.0


async def test_a_repeated_status_says_the_latest_reason_and_since_when_still():
    told = Told()
    await told.teller.change("online", "")
    told.now = 110.0
    await told.teller.change("stalled", "no frames for 10 s")
    told.now = 125.0
    await told.teller.repeat()
    assert told.rows[-1] == ("stalled", "no frames for 10 s", 110.0)
    assert told.statuses[-1].at == 125.0


async def test_a_camera_that_cannot_be_watched_is_told_again_for_who_comes_later_and_since_when_it_is_so():
    listener = Told()

    async def sleep(seconds: float) -> None:
        if len(listener.statuses) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await tell_refused("gate", listener, "no such film", sleep=sleep)

    assert [(each.state, each.reason) for each in listener.statuses] == [
        ("disabled", "cannot be watched as configured: no such film")
    ] * 3
    assert len({each.since for each in listener.statuses}) == 1
