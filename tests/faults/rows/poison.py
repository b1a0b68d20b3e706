"""F11: what cannot be read, on each topic that an agent reads. It goes to the dead letters with its bytes, and nothing
waits for it.

F12: messages at the size limit and above it, and evidence that is too big.
"""

from __future__ import annotations

import random
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from redis.asyncio import Redis

from tests.faults.harness.offsets import INPUTS
from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import SPECIAL
from tests.waiting import eventually
from vision_stream.messages import (
    SCHEMA_VERSION,
    AssessmentTask,
    CameraAssessment,
    DeadLetter,
    Detection,
    InlineEvidence,
    Overdue,
    StoredEvidence,
    encode,
)
from vision_stream.simulators.load import Load, a_detection

BURIED_WITHIN_S = 60.0  # a second alone; beside another fault (F17), when that is over
LIMIT = 1_048_588  # bytes of a batch: Kafka's own `message.max.bytes`
BATCH = 200  # bytes of a batch of one beside its value, or fewer
FAR_S = 10 * 365 * 86_400.0


Place = tuple[str, int, int]  # topic, partition, offset


class Poison(NamedTuple):
    what: str
    key: bytes | None
    value: bytes | None


# -- F11


async def poison_all(scene: Scene, rng: random.Random) -> None:
    planted: dict[Place, Poison] = {}
    async with sender(scene) as producer:
        for name in INPUTS:
            for poison in (*unreadable(rng, name), *from_another_version(rng)):
                planted[await send(scene, producer, rng, name, poison)] = poison
                scene.auditor.planted.update(planted)
        for name, readable in from_the_future(rng):
            await send(scene, producer, rng, name, readable)

    def missing() -> list[str]:
        buried = {_place(letter): (letter.key, letter.value) for letter in scene.auditor.dead_letters}
        return [f"{poison.what} on {at}" for at, poison in planted.items() if buried.get(at) != poison[1:]]

    scene.event(f"{len(planted)} planted")
    await eventually(lambda: not missing(), BURIED_WITHIN_S, what="all of them lie in the dead letters, as they were")


def unreadable(rng: random.Random, name: str) -> Iterator[Poison]:
    key = f"load-{rng.randint(1, 16):04}".encode()  # beside a camera's own messages
    yield Poison("bytes", key, rng.randbytes(rng.randint(1, 2000)))
    yield Poison("huge", key, rng.randbytes(LIMIT - 10 * BATCH))
    yield Poison("empty", key, b"")
    yield Poison("null", key, None)
    yield Poison("deep", key, b"[" * 100_000)
    yield Poison("another kind", key, b'{"outcome": "unheard of", "type": "neither", "task_id": "a", "camera_id": "b"}')
    yield Poison("nan", key, b'{"at": NaN}')
    yield Poison("key that is no text", rng.randbytes(40), rng.randbytes(40))
    if name == "detection_results":
        yield Poison("no key", None, encode(_a_detection(rng)))
        yield Poison("another's key", key, encode(_a_detection(rng)))


def from_another_version(rng: random.Random) -> Iterator[Poison]:
    """A version that there was never, and the next one, of a message that is a detection; unknown to the other topics
    as well."""
    plain = msgspec.to_builtins(_a_detection(rng))
    for version in (SCHEMA_VERSION - 1, SCHEMA_VERSION + 1):
        value = msgspec.json.encode(plain | {"schema_version": version})
        yield Poison(f"version {version}", plain["camera_id"].encode(), value)


def from_the_future(rng: random.Random) -> Iterator[tuple[str, Poison]]:
    """In order, and from a clock that is ten years ahead: not refused, and of no effect on the other cameras."""
    at = time.time() + FAR_S
    detection = _a_detection(rng, now=at)
    key = detection.camera_id.encode()
    group = msgspec.structs.replace(detection.groups[0], index=0)
    camera_id, request_id = detection.camera_id, f"{detection.camera_id}:s2:1"
    task = AssessmentTask(
        task_id=f"{request_id}/0",
        request_id=request_id,
        camera_id=camera_id,
        group=group,
        objects=detection.objects[:1],
        group_count=1,
        priority=100,
        deadline=at + FAR_S,
        times=detection.times,
        frame_width=detection.frame_width,
        frame_height=detection.frame_height,
    )
    join = CameraAssessment(
        request_id=request_id,
        camera_id=camera_id,
        assessments=(),
        group_count=1,
        max_risk_level=None,
        complete=False,
        times=detection.times,
    )
    tick = Overdue(request_id=request_id, camera_id=camera_id, at=at)
    yield "detection_results", Poison("future", key, encode(detection))
    yield "assessment_tasks", Poison("future", key, encode(task))
    yield "risk_assessment_results", Poison("future", key, encode(tick))
    yield "camera_assessments", Poison("future", key, encode(join))


def _a_detection(rng: random.Random, *, now: float | None = None) -> Detection:
    """Of a camera that the load does not have."""
    load = Load(cameras=1, fps=1.0, seconds=1.0, session="s1", seed=rng.randrange(1 << 30))
    plain: dict[str, Any] = msgspec.to_builtins(a_detection(load, 0, 1, now=now or time.time()))
    camera_id = f"poison-{rng.randrange(1 << 30)}"
    return msgspec.convert(plain | {"camera_id": camera_id, "detection_id": f"{camera_id}:s1:1"}, Detection)


# -- F12


async def sizes(scene: Scene, rng: random.Random) -> None:
    """At the limit a message gets through, or, where what follows from it would be above, to the dead letters; above
    it Kafka refuses it. Pictures that no LLM takes fail their task."""
    async with sender(scene) as producer:
        for short_of_limit in (0, rng.randint(1, 2000), rng.randint(2000, 20_000)):
            detection = of_size(rng, LIMIT - BATCH - short_of_limit)
            await _until_ended(scene, producer, rng, detection)
        too_large = message(of_size(rng, LIMIT + BATCH))
        with suppress(MessageSizeTooLargeError):
            await send(scene, producer, rng, "detection_results", too_large)
            raise AssertionError("Kafka took a message above its limit")
        for picture in (_picture(100, 100) + bytes(24 << 20), _picture(50_000, 50_000)):
            await _until_ended(scene, producer, rng, await _with_stored(scene, rng, picture))


async def _until_ended(scene: Scene, producer: AIOKafkaProducer, rng: random.Random, detection: Detection) -> None:
    sent = message(detection)
    place = await send(scene, producer, rng, "detection_results", sent)
    scene.auditor.planted.add(place)

    def end() -> str:
        if any(_place(letter) == place and letter.value == sent.value for letter in scene.auditor.dead_letters):
            return "buried whole"
        return "judged, or failed" if f"{detection.detection_id}/0" in scene.auditor.outcomes else ""

    size = len(sent.value or b"")
    scene.event(f"{size} bytes: {await eventually(end, BURIED_WITHIN_S, what=f'an end of {size} bytes')}")


async def _with_stored(scene: Scene, rng: random.Random, picture: bytes) -> Detection:
    """Its first group's picture lies in Redis."""
    assert scene.redis is not None
    bare = _a_detection(rng)
    evidence = StoredEvidence(key=f"{bare.detection_id}/0", expires_at=time.time() + 60)
    async with Redis.from_url(scene.redis.url) as client:
        await client.set(f"evidence:{evidence.key}", picture, ex=60)
    first = msgspec.structs.replace(bare.groups[0], evidence=evidence)
    return msgspec.structs.replace(bare, groups=(first, *bare.groups[1:]))


def _picture(width: int, height: int) -> bytes:
    """The start of a PNG of this size."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)


def of_size(rng: random.Random, size: int) -> Detection:
    """With a picture in its first group that makes it ``size`` bytes, or up to three fewer."""
    bare = _a_detection(rng)

    def pictured(length: int) -> Detection:
        first = msgspec.structs.replace(bare.groups[0], evidence=InlineEvidence(jpeg=bytes(length)))
        return msgspec.structs.replace(bare, groups=(first, *bare.groups[1:]))

    return pictured((size - len(encode(pictured(0)))) // 4 * 3)


# -- what both do


def message(detection: Detection) -> Poison:
    return Poison("", detection.camera_id.encode(), encode(detection))


@asynccontextmanager
async def sender(scene: Scene) -> AsyncIterator[AIOKafkaProducer]:
    servers = ",".join(scene.settings.kafka.bootstrap_servers)
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_request_size=4 * LIMIT)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(scene: Scene, producer: AIOKafkaProducer, rng: random.Random, name: str, poison: Poison) -> Place:
    """To where its key leads, or anywhere without one."""
    topic = getattr(scene.settings.kafka.topics, name)
    partition = rng.randrange(topic.partitions) if poison.key is None else None
    at = await producer.send_and_wait(topic.name, poison.value, key=poison.key, partition=partition)
    return at.topic, at.partition, at.offset


def _place(letter: DeadLetter) -> Place:
    return letter.topic, letter.partition, letter.offset


ROWS = (
    Row("F11", "Poison on each topic", poison_all, 15.0, SPECIAL),
    Row("F12", "Messages at and above the size limit", sizes, 15.0, SPECIAL),
)
