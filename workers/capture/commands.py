"""The camera commands of the API, as they are now: the last one of each camera, read from Kafka's whole topic.

Without a consumer group, so that every worker knows all of them. A broker that is away is waited for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import ConsumerRecord

from vision_stream.errors import MessageError
from vision_stream.kafka_client import unreachable
from vision_stream.kafka_consumers import groupless, stop
from vision_stream.messages import CameraCommand, decode
from vision_stream.settings import KafkaSettings
from workers.capture.pacing import backoff_s

START_WITHIN_S = 10.0
STOP_WITHIN_S = 1.0
POLL_MS = 1000
QUIET_S = 3.0  # without a message, though the broker answers: see ``Silence``

Commands = Mapping[str, CameraCommand]
Answers = tuple[int | None, ...]  # when the broker answered last, of each partition; None: not yet

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Silence:
    """After the last message. It is the end of a topic only where the broker has answered meanwhile that there is no
    more: compaction can leave nothing before the end of a partition, and a broker that is slow leaves all.

    >>> silence = Silence(since=100.0, answers=(7, 7))
    >>> silence.is_the_end(104.0, (9, 7)), silence.is_the_end(104.0, (9, 8)), silence.is_the_end(101.0, (9, 8))
    (False, True, False)
    """

    since: float  # seconds
    answers: Answers

    def is_the_end(self, now: float, answers: Answers) -> bool:
        """``answers``: as they were before the last look for messages, which would have found what they brought."""
        answered = all(later not in (None, before) for later, before in zip(answers, self.answers, strict=True))
        return answered and now - self.since > QUIET_S


def take(commands: Commands, key: bytes | None, value: bytes | None) -> Commands:
    """The commands after one more message; one without a value takes its camera's back.

    Raises:
        MessageError: it is no command, or lies under another camera's key, where no later one would replace it.
    """
    camera_id = (key or b"").decode(errors="replace")
    if value is None:
        return {known: command for known, command in commands.items() if known != camera_id}
    command = decode(value, CameraCommand)
    if command.camera_id != camera_id:
        raise MessageError(f"a command for {command.camera_id} under the key {camera_id[:100]!r}")
    return {**commands, camera_id: command}


async def follow(kafka: KafkaSettings, told: Callable[[Commands], None]) -> None:
    """Tell the commands once all have been read, and again whenever they have changed; until cancelled."""
    attempt, lost = 0, False

    def read(commands: Commands) -> None:
        nonlocal attempt, lost
        attempt, lost = 0, False
        told(commands)

    while True:
        try:
            await _read(kafka, read)
        except Exception as error:  # also what aiokafka does not foresee: commands are followed for ever
            if not lost:
                reason = f"{type(error).__name__}: {error}"
                _log.warning("camera commands cannot be read, trying again", reason=reason, error_id="VS-101")
            lost = True
        await asyncio.sleep(backoff_s(attempt, random.random(), max_s=5.0))
        attempt += 1


async def read(kafka: KafkaSettings, *, within_s: float) -> Commands:
    """The commands as they are now; none where their topic has not been made yet.

    Raises:
        DependencyError: they could not be read within ``within_s`` seconds.
    """
    told: asyncio.Future[Commands] = asyncio.get_running_loop().create_future()
    reading = asyncio.ensure_future(_read(kafka, lambda commands: None if told.done() else told.set_result(commands)))
    try:
        await asyncio.wait((reading, told), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading
        elif not told.done():
            raise unreachable(kafka, "the camera commands have not come", within_s=within_s)
        return told.result()
    except UnknownTopicOrPartitionError:
        return {}
    except (KafkaError, OSError) as error:
        raise unreachable(kafka, error) from error
    finally:
        reading.cancel()
        await asyncio.wait((reading,), timeout=2 * STOP_WITHIN_S)


async def _read(kafka: KafkaSettings, told: Callable[[Commands], None]) -> None:
    """Raises KafkaError: the topic is not there, or is no longer what it was."""
    consumer = groupless(kafka, request_s=START_WITHIN_S, client_id="vision-stream-capture")
    try:
        async with asyncio.timeout(START_WITHIN_S):
            await consumer.start()
            ends = await _place(consumer, kafka.topics.camera_commands.name)
        commands: Commands = {}
        silence, complete = Silence(time.monotonic(), _answers(consumer, ends)), False
        while True:
            answers, before = _answers(consumer, ends), commands
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            for record in (record for records in batches.values() for record in records):
                commands = _taken(commands, record)
            if not complete:
                if batches:
                    silence = Silence(time.monotonic(), _answers(consumer, ends))
                complete = await _at_end(consumer, ends) or silence.is_the_end(time.monotonic(), answers)
                if complete:
                    told(commands)
            elif commands != before:
                told(commands)
            _check_partitions(consumer, ends)
    finally:
        await stop(consumer, within_s=STOP_WITHIN_S)


async def _place(consumer: AIOKafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    """Begin at the beginning; returns where each partition ended then."""
    partitions = [TopicPartition(topic, number) for number in await _numbers(consumer, topic)]
    consumer.assign(partitions)
    for partition, begin in (await consumer.beginning_offsets(partitions)).items():
        consumer.seek(partition, begin)
    return await consumer.end_offsets(partitions)


async def _numbers(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client.set_topics([topic])  # of a topic that it does not read the client knows nothing
    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise UnknownTopicOrPartitionError(f"topic {topic} does not exist; `vision-stream topics init` makes it")
    return sorted(numbers)


def _answers(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> Answers:
    return tuple(consumer.last_poll_timestamp(partition) for partition in partitions)


async def _at_end(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


def _check_partitions(consumer: AIOKafkaConsumer, known: Mapping[TopicPartition, int]) -> None:
    for topic in {partition.topic for partition in known}:
        now = consumer.partitions_for_topic(topic)
        if now is not None and now != {partition.partition for partition in known}:
            raise UnknownTopicOrPartitionError(f"the partitions of {topic} have changed")


def _taken(commands: Commands, record: ConsumerRecord) -> Commands:
    try:
        return take(commands, record.key, record.value)
    except MessageError as error:
        _log.error("a camera command cannot be read, and changes nothing", offset=record.offset, error=str(error)[:300])
        return commands
