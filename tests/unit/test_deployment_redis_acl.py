"""Redis's user for our processes: it can do what they do, on a real Redis, and nothing else."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from tests.deployment_files import DEPLOYMENT
from vision_stream.messages import Alert, Box
from vision_stream.redis_server import RedisServer
from vision_stream.stores.cache import RedisCache
from vision_stream.stores.evidence import RedisEvidence
from vision_stream.stores.frames import RedisFrames
from vision_stream.stores.redis_link import RedisLink

PASSWORD = "a-password-of-this-test"


@pytest.fixture
async def url(private_redis: RedisServer) -> str:
    """Of the user, on a Redis that has our rules."""
    template = (DEPLOYMENT / "redis" / "users.acl.template").read_text()
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
    (rules,) = [line for line in template.splitlines() if line.startswith("user vision-stream ")]
    async with Redis.from_url(private_redis.url) as admin:
        await admin.execute_command("ACL", "SETUSER", *rules.replace("@APP_SHA256@", digest).split()[1:])
    return f"redis://vision-stream:{PASSWORD}@127.0.0.1:{private_redis.port}/0"


@pytest.fixture
async def link(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(SecretStr(url))
    yield link
    await link.close()


async def test_every_store_works_with_it(link: RedisLink):
    cache, evidence, frames = RedisCache(link), RedisEvidence(link), RedisFrames(link)
    now = time.time()
    alert = Alert(
        alert_id="a",
        camera_id="cam-01",
        state="opened",
        risk_level="high",
        opened_at=now,
        updated_at=now,
        task_id="cam-01:s:1/0",
        box=Box(0, 0, 1, 1),
    )

    assert await evidence.put("cam-01:s:1/0", b"jpeg", ttl_s=5)
    assert await evidence.get("cam-01:s:1/0") == b"jpeg"
    assert await frames.put("cam-01", b"jpeg", ttl_s=5)
    assert await frames.latest("cam-01") == b"jpeg"
    await evidence.delete("cam-01:s:1/0")
    await frames.delete("cam-01")
    assert (await evidence.get("cam-01:s:1/0"), await frames.latest("cam-01")) == (None, None)
    assert await cache.put_latest("cam-01", b"latest", ttl_s=5)
    assert await cache.latest("cam-01") == b"latest"
    assert await cache.record_alert(alert)
    assert [found.alert_id for found in await cache.alerts("cam-01")] == ["a"]
    assert await cache.announce("cam-01", b"latest")
    assert await link.ping()


async def test_it_can_listen_to_the_cameras_channels(url: str):
    async with Redis.from_url(url) as client, client.pubsub() as channel:
        await channel.subscribe("camera:cam-01")
        assert (await channel.get_message(timeout=5) or {})["type"] == "subscribe"


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("GET", "another:system"),
        ("SET", "another:system", "x"),
        ("PUBLISH", "another", "x"),
        ("DEL", "camera:cam-01:latest"),
    ],
    ids=" ".join,
)
async def test_it_can_do_nothing_else(url: str, command: tuple[str, ...]):
    async with Redis.from_url(url) as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)
