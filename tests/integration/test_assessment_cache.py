"""The assessment cache in memory and in a real Redis: one suite of behaviour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from tests.gateway_parts import NOW, an_alert
from tests.waiting import eventually
from vision_stream.stores import AssessmentCache
from vision_stream.stores.cache import MemoryCache, RedisCache
from vision_stream.stores.redis_link import RedisLink


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(SecretStr(redis_url))
    yield link
    await link.close()


@pytest.fixture
def redis_cache(link: RedisLink) -> RedisCache:
    return RedisCache(link)


@pytest.fixture
def memory_cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest) -> AssessmentCache:
    return request.getfixturevalue(f"{request.param}_cache")


async def test_the_latest_assessment_is_the_last_one_put(cache: AssessmentCache):
    assert await cache.put_latest("cam-01", b"old", ttl_s=300)
    assert await cache.put_latest("cam-01", b"new \xff", ttl_s=300)

    assert await cache.latest("cam-01") == b"new \xff"
    assert await cache.latest("cam-02") is None


async def test_the_latest_assessment_ends_with_its_time_to_live(cache: AssessmentCache):
    await cache.put_latest("cam-01", b"short", ttl_s=0.05)

    await eventually(lambda: _is_gone(cache), within_s=3)


async def _is_gone(cache: AssessmentCache) -> bool:
    return await cache.latest("cam-01") is None


async def test_without_a_time_to_live_nothing_is_kept(cache: AssessmentCache):
    assert not await cache.put_latest("cam-01", b"never", ttl_s=0)
    assert await cache.latest("cam-01") is None


async def test_alerts_are_newest_first_and_of_their_camera(cache: AssessmentCache):
    for name in ("first", "second", "third"):
        await cache.record_alert(an_alert("cam-01", alert_id=name))
    await cache.record_alert(an_alert("cam-02", alert_id="elsewhere"))

    assert [alert.alert_id for alert in await cache.alerts("cam-01")] == ["third", "second", "first"]
    assert [alert.alert_id for alert in await cache.alerts("cam-01", limit=2)] == ["third", "second"]
    assert await cache.alerts("cam-01", limit=0) == []
    assert await cache.alerts("nobody") == []


async def test_the_same_alert_replaces_its_row_where_it_stands(cache: AssessmentCache):
    for name in ("first", "second"):
        await cache.record_alert(an_alert(alert_id=name))
    changed = an_alert(alert_id="first", state="resolved", updated_at=NOW + 5.125, resolved_at=NOW + 5.125)

    assert await cache.record_alert(changed)

    assert await cache.alerts("cam-01") == [an_alert(alert_id="second"), changed]


async def test_an_older_state_of_an_alert_does_not_replace_a_newer_one(cache: AssessmentCache):
    newer = an_alert(state="resolved", updated_at=NOW + 0.002)
    await cache.record_alert(newer)

    assert await cache.record_alert(an_alert(updated_at=NOW + 0.001))

    assert await cache.alerts("cam-01") == [newer]


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_the_oldest_alerts_beyond_the_bound_are_dropped(kind: str, link: RedisLink):
    cache = MemoryCache(alerts_kept=3) if kind == "memory" else RedisCache(link, alerts_kept=3)
    for i in range(5):
        await cache.record_alert(an_alert(alert_id=f"a-{i}"))

    assert [alert.alert_id for alert in await cache.alerts("cam-01")] == ["a-4", "a-3", "a-2"]


async def test_writers_at_the_same_time_make_one_row_an_alert(cache: AssessmentCache):
    states = [an_alert(alert_id=f"a-{i % 4}", updated_at=NOW + i) for i in range(24)]

    await asyncio.gather(*(cache.record_alert(alert) for alert in states))

    rows = await cache.alerts("cam-01")
    assert sorted(alert.alert_id for alert in rows) == ["a-0", "a-1", "a-2", "a-3"]
    assert {alert.updated_at for alert in rows} == {NOW + i for i in range(20, 24)}


async def test_redis_has_the_names_that_others_read(redis_cache: RedisCache, link: RedisLink):
    await redis_cache.put_latest("cam-01", b"{}", ttl_s=300)
    await redis_cache.record_alert(an_alert())

    assert await link.client.get("camera:cam-01:latest") == b"{}"
    assert 299 <= await link.client.ttl("camera:cam-01:latest") <= 300
    assert await link.client.llen("alerts:cam-01") == 1  # type: ignore[misc]


async def test_an_announcement_is_heard_on_the_cameras_channel(redis_cache: RedisCache, link: RedisLink):
    async with link.client.pubsub() as channel:
        await channel.subscribe("camera:cam-01")
        await channel.get_message(timeout=2.0)

        assert await redis_cache.announce("cam-01", b"a message")

        heard = await channel.get_message(ignore_subscribe_messages=True, timeout=2.0)
    assert heard is not None
    assert heard["data"] == b"a message"


async def test_a_row_that_cannot_be_read_is_passed_over(redis_cache: RedisCache, link: RedisLink):
    await redis_cache.record_alert(an_alert(alert_id="good"))
    await link.client.lpush("alerts:cam-01", b'{"from": "the future"}', b"not json")  # type: ignore[misc]

    assert await redis_cache.record_alert(an_alert(alert_id="good", updated_at=NOW + 1))

    assert [alert.updated_at for alert in await redis_cache.alerts("cam-01")] == [NOW + 1]


async def test_a_redis_that_goes_away_is_no_error_and_is_used_again_when_it_is_back(private_redis):
    link = RedisLink(SecretStr(private_redis.url), timeout_s=0.5, rest_s=0.05)
    cache = RedisCache(link)
    await cache.record_alert(an_alert())
    private_redis.kill()

    started = time.monotonic()
    assert await cache.alerts("cam-01") == []
    assert await cache.latest("cam-01") is None
    assert not await cache.record_alert(an_alert())
    assert not await cache.announce("cam-01", b"")
    assert time.monotonic() - started < 2

    await private_redis.restart()
    await eventually(lambda: cache.put_latest("cam-01", b"again", ttl_s=300), within_s=10)
    assert await cache.latest("cam-01") == b"again"
    await link.close()
