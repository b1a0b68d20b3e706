"""Commands are told once all have been read, whatever the broker does meanwhile: else stopped cameras are watched."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Any

import pytest

from tests.waiting import eventually
from vision_stream import topics
from vision_stream.background import Background
from vision_stream.broker import KafkaBroker
from vision_stream.errors import DependencyError
from vision_stream.messages import CameraCommand
from workers.capture import commands
from workers.gateway.kafka_commands import KafkaCommands

pytestmark = [pytest.mark.slow]


async def test_a_broker_that_freezes_before_the_commands_are_read_does_not_make_them_none(
    private_kafka: KafkaBroker, kafka_settings, monkeypatch: pytest.MonkeyPatch
):
    settings = kafka_settings(partitions=1)
    await topics.ensure(settings, wait_s=20)
    keeper = KafkaCommands(settings.kafka)
    await keeper.put(CameraCommand(camera_id="yard", action="stop", at=1.0))
    (pid,) = private_kafka.pids
    place, check, looks, seen = commands._place, commands._check_partitions, [], list[Mapping[str, CameraCommand]]()

    async def place_and_freeze(consumer: Any, topic: str) -> Any:
        ends = await place(consumer, topic)
        os.kill(pid, signal.SIGSTOP)
        for partition in ends:
            consumer.seek(partition, 0)  # what may have come already is to be asked for again
        return ends

    def look(*arguments: Any) -> None:
        looks.append(arguments)
        check(*arguments)

    monkeypatch.setattr(commands, "QUIET_S", 0.2)
    monkeypatch.setattr(commands, "POLL_MS", 20)
    monkeypatch.setattr(commands, "_place", place_and_freeze)
    monkeypatch.setattr(commands, "_check_partitions", look)
    reading = Background()
    reading.spawn(commands.follow(settings.kafka, seen.append), name="what capture workers read")
    try:
        await eventually(lambda: len(looks) >= 50, within_s=30)
        assert seen == []

        os.kill(pid, signal.SIGCONT)
        await eventually(lambda: seen, within_s=30)
        assert list(seen[0]) == ["yard"]
    finally:
        os.kill(pid, signal.SIGCONT)
        await reading.close()


async def test_the_commands_of_a_moment_are_read_once_and_there_are_none_before_their_topic_is_made(kafka_settings):
    settings = kafka_settings(partitions=1)
    assert await commands.read(settings.kafka, within_s=20) == {}

    await topics.ensure(settings, wait_s=20)
    await KafkaCommands(settings.kafka).put(CameraCommand(camera_id="yard", action="stop", at=1.0))

    assert {name: said.action for name, said in (await commands.read(settings.kafka, within_s=20)).items()} == {
        "yard": "stop"
    }


async def test_commands_that_do_not_come_are_waited_for_no_longer_than_told(private_kafka: KafkaBroker, kafka_settings):
    settings = kafka_settings(partitions=1)
    await topics.ensure(settings, wait_s=20)
    (pid,) = private_kafka.pids
    os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(15):
            with pytest.raises(DependencyError, match="within 1 s"):
                await commands.read(settings.kafka, within_s=1)
    finally:
        os.kill(pid, signal.SIGCONT)
