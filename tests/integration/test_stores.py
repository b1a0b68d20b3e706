"""Evidence and frame stores: one behaviour in memory and in Redis, and what happens when Redis goes away."""

import asyncio
import time

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.waiting import eventually
from vision_stream import metrics
from vision_stream.errors import ConfigError
from vision_stream.redis_server import RedisServer
from vision_stream.settings import Settings
from vision_stream.stores import EvidenceStore, FrameStore
from vision_stream.stores.evidence import MemoryEvidence, RedisEvidence
from vision_stream.stores.frames import MemoryFrames, RedisFrames
from vision_stream.stores.open import open_stores
from vision_stream.stores.redis_link import RedisLink


@pytest.fixture
async def link(redis_url: str):
    link = RedisLink(SecretStr(redis_url))
    yield link
    await link.close()


@pytest.fixture
def memory_evidence() -> EvidenceStore:
    return MemoryEvidence()


@pytest.fixture
def redis_evidence(link: RedisLink) -> EvidenceStore:
    return RedisEvidence(link)


@pytest.fixture
def memory_frames() -> FrameStore:
    return MemoryFrames()


@pytest.fixture
def redis_frames(link: RedisLink) -> FrameStore:
    return RedisFrames(link)


@pytest.fixture(params=["memory", "redis"])
def evidence(request: pytest.FixtureRequest) -> EvidenceStore:
    return request.getfixturevalue(f"{request.param}_evidence")


@pytest.fixture(params=["memory", "redis"])
def frames(request: pytest.FixtureRequest) -> FrameStore:
    return request.getfixturevalue(f"{request.param}_frames")


# --- both adapters -----------------------------------------------------------------------------------------------


async def test_a_picture_comes_back_byte_for_byte(evidence: EvidenceStore):
    jpeg = bytes(range(256)) * 100
    assert await evidence.put("cam-01:s:1/0", jpeg, ttl_s=60)
    assert await evidence.get("cam-01:s:1/0") == jpeg


async def test_what_was_never_put_is_none(evidence: EvidenceStore, frames: FrameStore):
    assert await evidence.get("cam-01:s:1/0") is None
    assert await frames.latest("cam-01") is None


async def test_a_picture_goes_when_its_time_is_over(evidence: EvidenceStore):
    await evidence.put("k", b"jpeg", ttl_s=0.05)

    async def gone() -> bool:
        return await evidence.get("k") is None

    await eventually(gone, within_s=2)


async def test_the_latest_frame_is_the_last_one_put_and_each_camera_has_its_own(frames: FrameStore):
    await frames.put("cam-01", b"old", ttl_s=30)
    await frames.put("cam-02", b"other", ttl_s=30)
    await frames.put("cam-01", b"new", ttl_s=30)
    assert await frames.latest("cam-01") == b"new"
    assert await frames.latest("cam-02") == b"other"


async def test_a_frame_goes_when_its_time_is_over(frames: FrameStore):
    await frames.put("cam-01", b"jpeg", ttl_s=0.05)

    async def gone() -> bool:
        return await frames.latest("cam-01") is None

    await eventually(gone, within_s=2)


async def test_what_is_deleted_is_gone_and_the_rest_stays(evidence: EvidenceStore, frames: FrameStore):
    for number in range(1001):
        await evidence.put(f"cam-01:s:1/{number}", b"jpeg", ttl_s=60)
    await frames.put("cam-01", b"one", ttl_s=60)
    await frames.put("cam-02", b"two", ttl_s=60)

    await evidence.delete(*(f"cam-01:s:1/{number}" for number in range(1000)), "never put")
    await evidence.delete()
    await frames.delete("cam-01")

    assert [await evidence.get(f"cam-01:s:1/{number}") for number in (0, 499, 999, 1000)] == [None, None, None, b"jpeg"]
    assert (await frames.latest("cam-01"), await frames.latest("cam-02")) == (None, b"two")


# --- memory: bounds ----------------------------------------------------------------------------------------------


async def test_memory_holds_no_more_bytes_than_its_bound_and_the_oldest_go():
    store = MemoryEvidence(max_bytes=100)
    for number in range(5):
        await store.put(str(number), bytes(40), ttl_s=60)
    assert [await store.get(str(number)) is not None for number in range(5)] == [False, False, False, True, True]


async def test_memory_says_no_to_a_picture_that_is_larger_than_all_of_it():
    store = MemoryEvidence(max_bytes=100)
    assert not await store.put("k", bytes(101), ttl_s=60)


async def test_memory_keeps_frames_of_so_many_cameras_and_a_camera_put_again_counts_once():
    store = MemoryFrames(max_cameras=2)
    for camera in ("cam-01", "cam-02", "cam-01"):
        await store.put(camera, b"jpeg", ttl_s=60)
    assert await store.latest("cam-02") == b"jpeg"
    await store.put("cam-03", b"jpeg", ttl_s=60)
    assert await store.latest("cam-02") is None  # the one put longest ago


async def test_a_picture_in_memory_expires_by_the_clock_that_was_given():
    now = 100.0
    store = MemoryEvidence(clock=lambda: now)
    await store.put("k", b"jpeg", ttl_s=5)
    now = 104.9
    assert await store.get("k") == b"jpeg"
    now = 105.0
    assert await store.get("k") is None


# --- Redis: an outage --------------------------------------------------------------------------------------------


async def test_redis_keys_are_named_as_documented_and_have_a_time_to_live(link: RedisLink):
    await RedisEvidence(link).put("cam-01:s:1/0", b"jpeg", ttl_s=300)
    await RedisFrames(link).put("cam-01", b"jpeg", ttl_s=30)
    assert 290 < await link.client.ttl("evidence:cam-01:s:1/0") <= 300
    assert 25 < await link.client.ttl("frame:cam-01") <= 30


async def test_without_redis_nothing_is_kept_nothing_raises_and_nothing_waits(private_redis: RedisServer):
    link = RedisLink(SecretStr(private_redis.url))
    store = RedisEvidence(link)
    assert await store.put("k", b"jpeg", ttl_s=60)
    counter = metrics.redis_errors.labels("evidence")
    errors = counter._value.get()
    await private_redis.stop()

    assert not await store.put("k", b"jpeg", ttl_s=60)
    started = time.monotonic()
    for _ in range(200):
        assert await store.get("k") is None
    assert time.monotonic() - started < 0.5
    assert counter._value.get() - errors == 201
    assert not link.up
    await link.close()


async def test_a_redis_that_hangs_costs_one_timeout_and_not_one_a_command(silent_port: int):
    link = RedisLink(SecretStr(f"redis://127.0.0.1:{silent_port}/0"), timeout_s=0.2)
    store = RedisEvidence(link)
    started = time.monotonic()
    for _ in range(50):
        assert await store.get("k") is None
    assert time.monotonic() - started < 0.6
    await link.close()


@pytest.fixture
async def silent_port():
    """Accepts connections and never answers."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_an_outage_is_said_once_and_its_end_once():
    server = RedisServer()
    await server.start()
    port = server.port
    link = RedisLink(SecretStr(server.url), rest_s=0.05)
    store = RedisEvidence(link)
    await store.put("k", b"jpeg", ttl_s=60)
    with capture_logs() as logs:
        await server.stop()
        for _ in range(20):
            await store.get("k")
        async with RedisServer(port=port):

            async def back() -> bool:
                return await store.put("k", b"jpeg", ttl_s=60)

            await eventually(back, within_s=5)
            await store.get("k")
            await link.close()
    assert [line["event"] for line in logs] == ["Redis is away, going on without it", "Redis is back"]


async def test_a_password_of_redis_is_in_no_log_line_and_no_error(redis_url: str):
    with_password = redis_url.replace("redis://", "redis://:hunter22@")
    link = RedisLink(SecretStr(with_password))
    with capture_logs() as logs:
        await RedisEvidence(link).get("k")
    await link.close()
    with pytest.raises(ConfigError) as wrong:
        RedisLink(SecretStr("http://:hunter22@nowhere"))
    assert "hunter22" not in f"{logs} {link!r} {vars(link)['where']} {wrong.value}"


# --- open_stores -------------------------------------------------------------------------------------------------


async def test_settings_choose_between_memory_and_redis(redis_url: str):
    in_memory = open_stores(Settings())
    in_redis = open_stores(Settings.model_validate({"enable_redis": True, "redis": {"url": redis_url}}))
    await in_redis.evidence.put("k", b"jpeg", ttl_s=60)
    assert await in_redis.evidence.get("k") == b"jpeg"
    assert in_memory.redis is None
    assert await in_memory.evidence.get("k") is None
    await in_redis.close()
    await in_memory.close()


async def test_opening_needs_no_redis_that_is_there():
    stores = open_stores(Settings.model_validate({"enable_redis": True, "redis": {"url": "redis://127.0.0.1:1/0"}}))
    assert await stores.frames.latest("cam-01") is None
    await stores.close()
