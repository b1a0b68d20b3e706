"""What tests share: one real Kafka and one real Redis a session, and what each test needs to be alone on them.

    kafka, redis_server           the session's; start with the first test that asks
    kafka_settings(...)           Settings with an app id and topic names of this test's own; its topics go with it
    redis_url                     of the session's Redis, emptied
    private_kafka, private_redis  of this test alone, for one that kills them
    chromium                      path of the browser

A test marked ``ultralytics``, ``mqtt``, ``browser`` or ``rtsp`` is skipped where that part is absent, and fails where
``CI`` is set.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import pytest
import redis as redis_client
import structlog
from aiokafka.admin import AIOKafkaAdminClient

from tests.rtsp_cameras import has_rtsp_server
from vision_stream.broker import KafkaBroker
from vision_stream.redis_server import RedisServer
from vision_stream.settings import ROLES, Role, Settings

T = TypeVar("T")
SettingsMaker = Callable[..., Settings]

for _name in [name for name in os.environ if name.startswith("ALGO_")]:
    del os.environ[_name]  # a developer's own settings are none of the tests'


# --- absent parts ------------------------------------------------------------------------------------------------


def find_chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


def _has_ultralytics() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("ultralytics", "torch"))


PARTS: dict[str, tuple[Callable[[], object], str]] = {
    "ultralytics": (_has_ultralytics, "ultralytics is not installed (`make test ARGS=--yolo` installs it, 6 GB)"),
    "mqtt": (find_mosquitto, "there is no mosquitto (Debian's package is `mosquitto`)"),
    "browser": (find_chromium, "there is no Chromium on the PATH (Debian's package is `chromium`)"),
    "rtsp": (has_rtsp_server, "GStreamer's RTSP server is absent (Debian's packages: see .ci/run)"),
}


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (present, absent) in PARTS.items():
        if item.get_closest_marker(marker) and not present():
            if in_ci():
                pytest.fail(f"CI skips nothing, but {absent}", pytrace=False)
            pytest.skip(absent)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark what uses a server, so that ``-m "not kafka"`` leaves what needs none."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if used & {"kafka", "private_kafka", "kafka_settings"}:
            item.add_marker("kafka")
        if used & {"redis_server", "redis_url", "private_redis"}:
            item.add_marker("redis")


@pytest.fixture(scope="session")
def chromium() -> str:
    path = find_chromium()
    if path is None:
        pytest.skip(PARTS["browser"][1])
    return path


# --- servers -----------------------------------------------------------------------------------------------------


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run in a loop of its own: a session's server outlives the loops of its tests."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaBroker]:
    broker = KafkaBroker()
    run_apart(broker.start())
    yield broker
    run_apart(broker.stop())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    run_apart(server.start())
    yield server
    run_apart(server.stop())


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    with redis_client.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
async def private_kafka() -> AsyncIterator[KafkaBroker]:
    async with KafkaBroker() as broker:
        yield broker


@pytest.fixture
async def private_redis() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


# --- settings ----------------------------------------------------------------------------------------------------


@pytest.fixture
def app_id(request: pytest.FixtureRequest) -> str:
    """A name that no other test has: prefix of its topics, consumer groups and changelogs."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:40].strip("-")
    return f"{slug}-{secrets.token_hex(4)}"


@pytest.fixture
def kafka_settings(request: pytest.FixtureRequest, app_id: str) -> Iterator[SettingsMaker]:
    """``kafka_settings(partitions=4, app_id=..., broker=..., redis_url=..., roles=..., kafka={...}, **settings)``.

    On ``private_kafka`` where the test has that, else on the session's Kafka, or on the ``broker`` given. Makes no
    topic: ``topics.ensure`` does. The topics go with the test.
    """
    # Asked for now: inside a test a loop runs, and the session's broker starts in a loop of its own.
    own: KafkaBroker = request.getfixturevalue("private_kafka" if "private_kafka" in request.fixturenames else "kafka")
    made: list[Settings] = []

    def make(
        *,
        partitions: int = 4,
        app_id: str = app_id,
        broker: KafkaBroker | None = None,
        redis_url: str | None = None,
        roles: Sequence[Role] = ROLES,
        kafka: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Settings:
        settings_made = Settings.model_validate(
            {
                "enable_kafka_streaming": True,
                "enable_redis": redis_url is not None,
                "stream_roles": roles,
                "kafka": _kafka(broker or own, app_id, partitions) | (kafka or {}),
                "redis": {"url": redis_url} if redis_url else {},
                "monitoring": {"prometheus": {"port": 0}},
            }
            | settings
        )
        if broker is None:
            made.append(settings_made)
        return settings_made

    yield make
    if made and own.running:
        run_apart(_delete_topics(made))


def _kafka(broker: KafkaBroker, app_id: str, partitions: int) -> dict[str, Any]:
    topics = {
        name: {"name": f"{app_id}-{name.replace('_', '-')}", "partitions": partitions}
        for name in type(Settings().kafka.topics).model_fields
    }
    return {
        "bootstrap_servers": broker.bootstrap_servers,
        "app_id": app_id,
        "connect_timeout_s": 20.0,
        "topics": topics,
    }


async def _delete_topics(made: Sequence[Settings]) -> None:
    """Leave the shared broker as it was: hundreds of partitions make it slow."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(made[0].kafka.bootstrap_servers))
    await admin.start()
    try:
        prefixes = tuple({settings.kafka.app_id for settings in made})
        await admin.delete_topics([topic for topic in await admin.list_topics() if topic.startswith(prefixes)])
    finally:
        await admin.close()


@pytest.fixture
def own_logging() -> Iterator[None]:
    """The test may set up logs as it likes."""
    root, quiet = logging.getLogger(), logging.getLogger("ours.quiet")
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    quiet.setLevel(logging.NOTSET)
    structlog.reset_defaults()
