"""Lines that are said once a call are written together, and none of them is lost or out of order."""

from __future__ import annotations

import asyncio
import io
import threading

import msgspec
import pytest
import structlog

from tests.waiting import eventually
from vision_stream import logs
from vision_stream.log_lines import TOGETHER
from vision_stream.redaction import register_secret


class Stderr(io.StringIO):
    """Counts the writes that a terminal or a pipe would see."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)

    def said(self) -> list[object]:
        return [msgspec.json.decode(line)["n"] for line in self.getvalue().splitlines()]


@pytest.fixture
def stderr(monkeypatch, own_logging) -> Stderr:
    stderr = Stderr()
    monkeypatch.setattr("sys.stderr", stderr)
    logs.setup("INFO", "json")
    return stderr


async def test_lines_of_one_turn_of_the_loop_are_written_together_and_soon(stderr):
    often = structlog.get_logger("ours", logs.OFTEN)
    for n in range(5):
        often.info("called", n=n)
    assert not stderr.writes

    await eventually(lambda: stderr.said() == [0, 1, 2, 3, 4])
    assert stderr.writes == 1


async def test_no_more_lines_go_together_than_a_pipe_takes_whole(stderr):
    often = structlog.get_logger("ours", logs.OFTEN)
    for n in range(2 * TOGETHER):
        often.info("LLM call", n=n, task="cam-01:1700000000000:1234567/12", key="key-001", request_id="cam-01:17000000")

    assert stderr.writes == 2, "full, and written at once"
    assert max(map(len, stderr.getvalue().splitlines())) * TOGETHER < 4096


async def test_a_line_that_is_not_said_often_comes_after_those_before_it_and_at_once(stderr):
    often, other = structlog.get_logger("ours", logs.OFTEN), structlog.get_logger("ours.other")
    often.info("called", n=1)
    other.info("now", n=2)
    often.info("called", n=3)
    often.warning("now", n=4)

    assert stderr.said() == [1, 2, 3, 4]


def test_without_a_loop_each_line_is_written_at_once(stderr):
    structlog.get_logger("ours", logs.OFTEN).info("called", n=1)

    assert stderr.said() == [1]


def test_a_loop_that_ended_keeps_no_line_from_the_next_one(stderr):
    often = structlog.get_logger("ours", logs.OFTEN)

    async def says(n: int) -> None:
        often.info("called", n=n)

    async def says_and_waits() -> None:
        often.info("called", n=2)
        await eventually(lambda: bool(stderr.writes))

    asyncio.run(says(1))
    asyncio.run(says_and_waits())
    assert stderr.said() == [1, 2]


async def test_several_threads_lose_no_line(stderr):
    often = structlog.get_logger("ours", logs.OFTEN)

    def say(thread: int) -> None:
        for n in range(200):
            often.info("called", n=(thread, n))

    threads = [threading.Thread(target=say, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for n in range(200):
        often.info("called", n=(3, n))
    for thread in threads:
        await asyncio.to_thread(thread.join)

    await eventually(lambda: len(stderr.said()) == 800)
    assert sorted(stderr.said()) == [[thread, n] for thread in range(4) for n in range(200)]


async def test_lines_that_go_together_hold_no_secret_and_one_that_cannot_be_encoded_spoils_no_other(stderr):
    register_secret("canary-in-a-batch")
    often = structlog.get_logger("ours", logs.OFTEN)
    often.info("called", n=1, key="canary-in-a-batch", why="Bearer abcdefgh12345678")
    often.info("called", n=2, why={object: "canary-in-a-batch"})
    often.info("called", n=3)

    await eventually(lambda: stderr.said() == [1, 2, 3])
    assert "canary" not in stderr.getvalue()
    assert "abcdefgh" not in stderr.getvalue()
