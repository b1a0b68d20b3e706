"""A library that says the same ten times a second is heard once in a while."""

from __future__ import annotations

import io
import logging
from datetime import datetime

import msgspec
import pytest
import structlog

from vision_stream import logs
from vision_stream.logs import EVERY_S, OnceInAWhile


def a_line(at: float, *, name: str = "aiokafka.conn", level: int = logging.ERROR, text: str = "no broker %s"):
    record = logging.LogRecord(name, level, __file__, 1, text, ("x",), None)
    record.created = at
    return record


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


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_what_each_message_in_flight_says_of_a_broker_that_is_away_is_heard_once_in_a_while(fmt, capsys, own_logging):
    logs.setup("INFO", fmt)
    stage = structlog.get_logger("vision_stream.delivery.stage")
    for n in range(50):
        stage.warning("handler runs again", request_id=f"cam-01:s:{n}")
        stage.warning("message buried", request_id=f"cam-01:s:{n}")

    said = capsys.readouterr().err
    assert said.count("handler runs again") == 1
    assert said.count("message buried") == 50, "each message that fails by itself is heard"


def test_our_lines_have_the_levels_of_the_loggers_of_their_name(capsys, own_logging):
    logs.setup("INFO", "json")
    logging.getLogger("ours.quiet").setLevel(logging.WARNING)
    for name in ("ours", "ours.quiet.part"):
        logger = structlog.get_logger(name)
        logger.debug("a detail")
        logger.info("news", of=name)
    logging.getLogger().setLevel(logging.DEBUG)
    structlog.get_logger("ours").debug("a detail, now wanted")

    lines = capsys.readouterr().err.splitlines()
    assert [msgspec.json.decode(line)["event"] for line in lines] == ["news", "a detail, now wanted"]


def test_a_line_of_ours_and_one_of_a_library_have_one_shape(capsys, own_logging):
    logs.setup("INFO", "json")
    structlog.get_logger("ours").warning("it rains")
    logging.getLogger("theirs").warning("it %s", "rains")

    ours, theirs = (msgspec.json.decode(line) for line in capsys.readouterr().err.splitlines())
    assert ours.keys() == theirs.keys() == {"event", "level", "logger", "timestamp"}
    assert (ours["event"], ours["level"], ours["logger"]) == ("it rains", "warning", "ours")
    assert datetime.fromisoformat(ours["timestamp"]) <= datetime.fromisoformat(theirs["timestamp"])


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_an_exception_is_told_with_its_traceback_and_a_stack_where_it_is_asked_for(fmt, capsys, own_logging):
    logs.setup("INFO", fmt)
    try:
        raise RuntimeError("out of paper")
    except RuntimeError:
        structlog.get_logger("ours").exception("not printed", stack_info=True)

    said = capsys.readouterr().err
    assert "RuntimeError: out of paper" in said
    assert "test_an_exception_is_told" in said
    assert "_native.py" not in said, "the stack ends where the line is said"
    assert "vision_stream/logs.py" not in said


def test_a_broken_stderr_stops_nothing(own_logging, monkeypatch):
    broken = io.StringIO()
    broken.close()
    monkeypatch.setattr("sys.stderr", broken)
    logs.setup("INFO", "json")

    structlog.get_logger("ours").warning("nobody hears it")
