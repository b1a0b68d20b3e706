"""``upgrade --dry-run`` on a real Kafka."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaProducer

from tests.builders import a_detection
from tests.conftest import SettingsMaker
from vision_stream import topics
from vision_stream.errors import DependencyError
from vision_stream.messages import SCHEMA_VERSION, encode
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from vision_stream.upgrade import look

pytestmark = pytest.mark.kafka


def said(findings, name: str) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in findings if finding.name == name]


async def test_it_says_what_would_be_added_and_changed_and_changes_nothing(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=2)
    names = {spec.name for spec in topics.specs(settings)}
    for _ in range(2):
        missing = said(await look(settings), "topics")
        assert {text.split()[0] for _, text in missing} == names

    await topics.ensure(settings)
    assert said(await look(settings), "topics") == [("ok", f"all {len(names)} stay as they are")]

    fields = settings.model_dump()
    fields["kafka"]["topics"]["detection_results"]["retention_s"] = 7200
    name = settings.kafka.topics.detection_results.name
    for _ in range(2):
        [(level, text)] = said(await look(Settings.model_validate(fields)), "topics")
        assert level == "note"
        assert text.startswith(f"{name} would be changed: retention.ms 3600000 -> 7200000")


async def test_a_message_of_a_newer_schema_speaks_against_this_version(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=2)
    await topics.ensure(settings)
    name, ours = settings.kafka.topics.detection_results.name, encode(a_detection())
    newer = ours.replace(b'"schema_version":%d' % SCHEMA_VERSION, b'"schema_version":%d' % (SCHEMA_VERSION + 1))
    assert newer != ours
    async with AIOKafkaProducer(bootstrap_servers=",".join(settings.kafka.bootstrap_servers)) as producer:
        await producer.send_and_wait(name, newer, partition=0)
        await producer.send_and_wait(name, ours, partition=0)
        await producer.send_and_wait(name, ours, partition=1)
        [(level, text)] = said(await look(settings), "messages")
        assert (level, text.split(";")[0]) == ("ok", f"schema version {SCHEMA_VERSION} on the topics")

        await producer.send_and_wait(name, newer, partition=1)
        [(level, text)] = said(await look(settings), "messages")
    assert level == "wrong"
    assert text.startswith(f"{name} holds schema version {SCHEMA_VERSION + 1}")


async def test_a_broker_that_is_away_is_said():
    kafka = {"bootstrap_servers": [f"127.0.0.1:{free_ports(1)[0]}"], "connect_timeout_s": 1.0}
    settings = Settings.model_validate({"enable_kafka_streaming": True, "kafka": kafka})
    with pytest.raises(DependencyError, match="Failed to connect to Kafka"):
        await look(settings)
