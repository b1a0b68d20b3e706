"""``doctor`` on a real Kafka and a real Redis."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.conftest import SettingsMaker
from vision_stream import topics
from vision_stream.checks import clock, groups, services
from vision_stream.redis_server import RedisServer
from vision_stream.server_process import free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


async def test_topics_are_missing_then_there(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=1)

    before = await services.topics(settings)
    await topics.ensure(settings)
    after = await services.topics(settings)

    wanted = len(topics.specs(settings))
    assert (before.level, before.text.partition(":")[0]) == ("note", f"{wanted} of {wanted} not made yet")
    assert (after.level, after.text) == ("ok", f"all {wanted}, with the right numbers of partitions")
    assert (await services.kafka(settings)).level == "ok"


async def test_one_broker_of_two_is_enough_and_the_other_is_named(kafka_settings: SettingsMaker):
    servers, closed = kafka_settings().kafka.bootstrap_servers, f"127.0.0.1:{free_ports(1)[0]}"
    settings = kafka_settings(kafka={"bootstrap_servers": [*servers, closed]})

    finding = await services.kafka(settings)

    assert (finding.level, finding.text) == ("note", f"reachable, but not {closed}")


async def test_a_wrong_number_of_partitions_is_a_wrong_configuration(kafka_settings: SettingsMaker):
    made = kafka_settings(partitions=1)
    await topics.ensure(made)
    wanted = kafka_settings(partitions=2, app_id=made.kafka.app_id)

    finding = await services.topics(wanted)

    assert (finding.level, finding.exit_code) == ("wrong", 2)
    assert f"{wanted.kafka.topics.detection_results.name} has 1, not 2" in finding.text


async def test_redis_is_reached_and_a_wrong_password_is_told_from_an_absent_server(kafka_settings: SettingsMaker):
    async with RedisServer(password="canary-right") as server:
        right = await services.redis(kafka_settings(redis_url=server.url))
        wrong = await services.redis(kafka_settings(redis_url=server.url.replace("right", "wrong")))

    assert right.level == "ok"
    assert (wrong.level, wrong.exit_code) == ("wrong", 3)
    assert "refused the password" in wrong.text
    assert "canary" not in right.text + wrong.text


async def test_groups_show_their_members_and_what_waits(kafka_settings: SettingsMaker):
    settings = kafka_settings(partitions=1)
    await topics.ensure(settings)
    servers, topic = ",".join(settings.kafka.bootstrap_servers), settings.kafka.topics.detection_results.name
    assert (await groups.groups(settings)).text == "no worker has run on this Kafka yet"

    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for _ in range(3):
            await producer.send_and_wait(topic, b"x")
    options = {"group_id": topics.app_id(settings), "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, **options) as consumer:
        await consumer.getone()
        await consumer.commit()
        running = await groups.groups(settings)
    stopped = await groups.groups(settings)

    assert (running.level, running.text) == ("ok", f"{settings.kafka.app_id}: 1 members, 2 behind")
    assert (stopped.level, stopped.exit_code) == ("wrong", 1)
    assert "messages wait, and nobody runs task_generator" in stopped.text


async def test_the_clock_is_compared_with_kafkas_and_rediss(kafka_settings: SettingsMaker, redis_url: str):
    finding = await clock.clock(kafka_settings(redis_url=redis_url))
    assert finding.level == "ok"
    assert "Kafka's controller" in finding.text
    assert "Redis" in finding.text
