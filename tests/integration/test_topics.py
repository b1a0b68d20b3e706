from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.conftest import SettingsMaker
from tests.waiting import eventually
from vision_stream.broker import KafkaBroker
from vision_stream.errors import ConfigError, DependencyError
from vision_stream.server_process import free_ports
from vision_stream.settings import Settings
from vision_stream.topics import changelog, ensure, specs


async def on_broker(settings: Settings) -> dict[str, int]:
    """Partitions of this test's topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        prefix = settings.kafka.app_id
        topics = await admin.describe_topics()
        return {t["topic"]: len(t["partitions"]) for t in topics if t["topic"].startswith(prefix)}
    finally:
        await admin.close()


async def make(settings: Settings, name: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()

    async def known() -> bool:
        return (await on_broker(settings)).get(name) == partitions

    await eventually(known)


async def config_of(settings: Settings, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka.bootstrap_servers))
    await admin.start()
    try:
        answer: Any = (await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0]
        return {entry[0]: entry[1] for entry in answer.resources[0][-1]}
    finally:
        await admin.close()


def topics_of(settings: Settings) -> dict[str, Any]:
    return settings.kafka.topics.model_dump()


async def test_an_empty_broker_gets_all_topics_and_changelogs(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=4)

    done = await ensure(settings)

    assert {ensured.change for ensured in done} == {"created"}
    assert await on_broker(settings) == {spec.name: spec.partitions for spec in specs(settings)}
    assert (await on_broker(settings))[changelog(settings, "key_cooldowns")] == 1


async def test_a_second_time_changes_nothing(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await ensure(settings)
    assert {ensured.change for ensured in await ensure(settings, update=True)} == {"unchanged"}


async def test_retention_and_compaction_are_as_configured(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await ensure(settings)

    detections = await config_of(settings, settings.kafka.topics.detection_results.name)
    state = await config_of(settings, changelog(settings, "camera_state"))

    assert (detections["cleanup.policy"], detections["retention.ms"]) == ("delete", "3600000")
    assert int(detections["segment.ms"]) <= 3_600_000
    assert state["cleanup.policy"] == "compact"


async def test_a_changed_retention_is_brought_to_a_topic_that_exists(kafka_settings: SettingsMaker):
    settings = kafka_settings()
    await ensure(settings)
    name = settings.kafka.topics.dead_letters.name
    later = kafka_settings(
        kafka={"topics": topics_of(settings) | {"dead_letters": {"name": name, "partitions": 4, "retention_s": 120}}}
    )

    done = await ensure(later, update=True)

    assert [ensured.spec.name for ensured in done if ensured.change == "updated"] == [name]

    async def retention() -> bool:
        return (await config_of(settings, name))["retention.ms"] == "120000"

    await eventually(retention)


async def test_too_few_partitions_are_explained_and_raised_only_when_asked(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=4)
    name = settings.kafka.topics.assessment_tasks.name
    await make(settings, name, 1)

    with pytest.raises(ConfigError, match=f"'{name}' has 1, not 4 .*assessment_tasks.partitions") as refused:
        await ensure(settings)
    assert "--raise-partitions" in refused.value.remedy

    done = await ensure(settings, raise_partitions=True)
    assert [ensured.spec.name for ensured in done if ensured.change == "raised"] == [name]
    assert (await on_broker(settings))[name] == 4


async def test_too_many_partitions_are_refused_even_when_raising_is_asked(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=2)
    name = settings.kafka.topics.detection_results.name
    await make(settings, name, 3)

    with pytest.raises(ConfigError, match=f"'{name}' has 3, not 2") as refused:
        await ensure(settings, raise_partitions=True)

    assert "Kafka never takes partitions away" in refused.value.remedy
    assert await on_broker(settings) == {name: 3}  # refused before anything was made


async def test_more_copies_than_brokers_are_explained(kafka_settings: SettingsMaker):
    settings = kafka_settings(kafka={"replication_factor": 3})
    with pytest.raises(ConfigError, match="wants more copies than there are brokers") as refused:
        await ensure(settings, wait_s=5)
    assert "replication_factor" in refused.value.remedy


async def test_each_role_alone_has_the_changelog_of_its_table(kafka_settings: SettingsMaker):
    settings = kafka_settings(roles=("result_aggregator",))
    await ensure(settings)
    found = [name for name in await on_broker(settings) if name.endswith("-changelog")]
    assert found == [f"{settings.kafka.app_id}-result_aggregator-pending_assessments-changelog"]


async def test_a_broker_that_is_not_there_is_a_missing_dependency_within_the_wait():
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": [f"127.0.0.1:{free_ports(1)[0]}"]}})
    started = time.monotonic()

    with pytest.raises(DependencyError, match="Failed to connect to Kafka at 127"):
        await ensure(settings, wait_s=0.5)

    assert time.monotonic() - started < 3


async def test_the_wait_covers_a_broker_that_is_still_starting(
    private_kafka: KafkaBroker, kafka_settings: SettingsMaker
):
    settings = kafka_settings()
    private_kafka.kill()
    async with asyncio.TaskGroup() as group:
        group.create_task(private_kafka.restart())
        done = await ensure(settings, wait_s=30)
    assert {ensured.change for ensured in done} == {"created"}
