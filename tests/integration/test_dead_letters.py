"""``vision-stream dead-letters`` on real Kafka."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from tests.builders import a_detection, a_group, assessed
from tests.faults.harness.audit import records
from tests.faults.harness.world import ROOT, environ_of
from vision_stream import topics
from vision_stream.messages import DeadLetter, encode
from vision_stream.settings import Settings


@pytest.fixture
def settings(kafka_settings) -> Settings:
    return kafka_settings(partitions=2)


class Letters:
    """Puts letters, and runs the command."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self._environ = environ_of(settings, directory, llm_port=9)

    async def put(self, *letters: DeadLetter) -> None:
        async with AIOKafkaProducer(bootstrap_servers=",".join(self.settings.kafka.bootstrap_servers)) as producer:
            for letter in letters:
                name = self.settings.kafka.topics.dead_letters.name
                await producer.send_and_wait(name, encode(letter), key=letter.key)

    def letter(self, topic: str, offset: int, key: bytes | None, value: bytes | None, **fields: Any) -> DeadLetter:
        name = getattr(self.settings.kafka.topics, topic).name
        whole = {"partition": 0, "error": "MessageError: not read", "at": time.time(), **fields}
        return DeadLetter(topic=name, offset=offset, key=key, value=value, **whole)

    def id(self, topic: str, offset: int) -> str:
        return f"{getattr(self.settings.kafka.topics, topic).name}-0@{offset}"

    async def in_topic(self, topic: str) -> list[Any]:
        kept = getattr(self.settings.kafka.topics, topic)
        return await records(self.settings, kept.name, kept.partitions)

    async def run(self, *args: str) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vision_stream", "dead-letters", *args,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT, env=self._environ,
        )  # fmt: skip
        async with asyncio.timeout(60):
            said, told = await process.communicate()
        return process.returncode, said.decode(), told.decode()

    async def replay(self, *args: str) -> dict[str, str]:
        """What became of each letter."""
        code, said, told = await self.run("replay", "--json", *args)
        assert code == 0, told
        return {letter["id"]: letter["fate"] for letter in json.loads(said)["letters"]}


@pytest.fixture
async def letters(settings: Settings, tmp_path: Path) -> Letters:
    await topics.ensure(settings)
    found = Letters(settings, tmp_path)
    await found.put(
        found.letter("detection_results", 3, b"cam-01", encode(a_detection(a_group(0)))),
        found.letter("detection_results", 4, b"cam-01", b"poison"),
        found.letter("risk_assessment_results", 5, b"cam-01", encode(assessed("high"))),
        found.letter("risk_assessment_results", 5, b"cam-01", encode(assessed("high"))),  # buried twice
        found.letter("risk_assessment_results", 6, b"cam-01", b"{", error="X [of 9000000 bytes, the first 200000]"),
    )
    return found


async def test_letters_are_listed_and_shown(letters: Letters):
    _, listed, _ = await letters.run("list", "--json")
    code, shown, _ = await letters.run("show", letters.id("detection_results", 4))

    assert [letter["id"] for letter in json.loads(listed)][:2] == [
        letters.id("detection_results", 3),
        letters.id("detection_results", 4),
    ]
    assert code == 0
    assert json.loads(shown)["text"] == "poison"
    assert json.loads(shown)["base64"] == "cG9pc29u"


async def test_a_letter_that_is_not_there_is_an_error(letters: Letters):
    code, _, told = await letters.run("show", "nowhere-0@1")

    assert code == 1
    assert "dead-letters list" in told


async def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(letters: Letters):
    fates = await letters.replay("--dry-run")

    assert fates == {
        letters.id("detection_results", 3): "send",
        letters.id("detection_results", 4): "unreadable",
        letters.id("risk_assessment_results", 5): "send",
        letters.id("risk_assessment_results", 6): "cannot be sent",
    }
    assert await letters.in_topic("detection_results") == []


async def test_a_replay_sends_each_letter_once_however_often_it_runs(letters: Letters):
    await letters.replay()
    again = await letters.replay()

    (detection,) = await letters.in_topic("detection_results")
    (outcome,) = await letters.in_topic("risk_assessment_results")
    assert (detection.key, detection.value) == (b"cam-01", encode(a_detection(a_group(0))))
    assert outcome.value == encode(assessed("high"))
    assert set(again.values()) == {"sent before", "unreadable", "cannot be sent"}


async def test_a_replayed_message_that_is_buried_again_is_not_sent_a_third_time(letters: Letters):
    await letters.replay("--topic", letters.settings.kafka.topics.detection_results.name)
    (sent,) = await letters.in_topic("detection_results")
    await letters.put(letters.letter("detection_results", sent.offset, sent.key, sent.value, partition=sent.partition))

    fates = await letters.replay()

    assert fates[f"{sent.topic}-{sent.partition}@{sent.offset}"] == "came back"
    assert len(await letters.in_topic("detection_results")) == 1


async def test_one_letter_is_replayed_by_its_id(letters: Letters):
    fates = await letters.replay(letters.id("risk_assessment_results", 5))

    assert fates == {letters.id("risk_assessment_results", 5): "send"}
    assert await letters.in_topic("detection_results") == []


async def test_purge_deletes_what_is_older(letters: Letters):
    _, kept, _ = await letters.run("purge", "--before", "1h", "--yes")
    _, gone, _ = await letters.run("purge", "--yes")
    _, listed, _ = await letters.run("list", "--json")

    assert kept == "0 deleted\n"
    assert gone == "5 deleted\n"
    assert json.loads(listed) == []
