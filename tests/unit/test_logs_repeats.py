"""A library that says the same ten times a second is heard once in a while."""

from __future__ import annotations

import logging

import pytest

from vision_stream.logs import EVERY_S, OnceInAWhile


def a_line(at: float, *, name: str = "aiokafka.conn", level: int = logging.ERROR, text: str = "no broker %s"):
    record = logging.LogRecord(name, level, __file__, 1, text, ("x",), None)
    record.created = at
    return record


def our_line(at: float, event: str, request_id: str) -> logging.LogRecord:
    """As structlog hands it to the standard library."""
    line = a_line(at, name="vision_stream.delivery.stage", level=logging.WARNING)
    line.msg, line.args = {"event": event, "request_id": request_id}, ()  # type: ignore[assignment]
    return line


def test_a_repeated_line_comes_once_in_a_while():
    heard = OnceInAWhile()
    said = [at / 10 for at in range(1000, 1300) if heard.filter(a_line(at / 10))]
    assert said == [100.0, 100.0 + EVERY_S, 100.0 + 2 * EVERY_S]


@pytest.mark.parametrize(
    "other",
    [a_line(100.1, text="another"), a_line(100.1, name="vision_stream.llm"), a_line(100.1, level=logging.INFO)],
    ids=["another line", "a line of ours", "an information"],
)
def test_other_lines_come_through(other):
    heard = OnceInAWhile()
    assert heard.filter(a_line(100.0))
    assert heard.filter(other)


def test_what_each_message_in_flight_says_of_a_broker_that_is_away_is_heard_once_in_a_while():
    heard = OnceInAWhile()
    lines = [our_line(100.0 + n / 10, "handler runs again", f"cam-01:s:{n}") for n in range(50)]
    assert [heard.filter(line) for line in lines].count(True) == 1


def test_each_message_that_fails_by_itself_is_heard():
    heard = OnceInAWhile()
    assert all(heard.filter(our_line(100.0 + n / 10, "message buried", f"cam-01:s:{n}")) for n in range(5))
