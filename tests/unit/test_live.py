"""What a SIGHUP changes, and what it only names."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.waiting import eventually
from vision_stream import live
from vision_stream.background import Background
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings


@pytest.fixture(autouse=True)
def _root_level() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def test_a_live_field_is_taken_over_and_another_named_without_its_value():
    new = Settings.model_validate({"log_level": "DEBUG", "gateway": {"token": "canary-token-1"}, "data_dir": "x"})
    with capture_logs() as said:
        live.take_over(Settings(), new)
    assert logging.getLogger().level == logging.DEBUG
    assert said[0]["taken_over"] == ["log_level"]
    assert said[0]["after_a_restart"] == ["data_dir", "gateway.token"]
    assert "canary" not in str(said)


def test_a_signal_while_a_process_starts_ends_nothing():
    before = signal.getsignal(signal.SIGHUP)
    try:
        live.outlive_sighup()
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_each_signal_reads_the_configuration_and_an_invalid_one_changes_nothing():
    answers = iter([Settings(log_level="ERROR"), ConfigError("log_level: LOUD"), Settings(log_level="WARNING")])
    read = []

    def reload() -> Settings:
        read.append(next(answers))
        if isinstance(read[-1], ConfigError):
            raise read[-1]
        return read[-1]

    background = Background()
    background.spawn(live.follow_sighup(Settings(), reload), name="SIGHUP")
    await asyncio.sleep(0)
    for count, level in enumerate((logging.ERROR, logging.ERROR, logging.WARNING), start=1):
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda count=count, level=level: len(read) == count and logging.getLogger().level == level)
    await background.close()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
