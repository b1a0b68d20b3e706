"""The three modes: a load and what became of it, a load alone, and what arrives without one of ours."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from vision_stream.background import Background
from vision_stream.kafka_client import client_options
from vision_stream.pipeline_test import verdict
from vision_stream.pipeline_test.seen import STAGES, Seen
from vision_stream.pipeline_test.topics_tail import connecting, tailing
from vision_stream.pipeline_test.verdict import Row, Sent
from vision_stream.settings import KafkaSettings, Settings
from vision_stream.simulators.load import Load
from vision_stream.simulators.load_run import publish

PROGRESS_EVERY_S = 5.0
LOOK_EVERY_S = 0.1
SETTLE_SLACK_S = 5.0  # past a task's deadline, until its outcome and join are on the topics
QUIET_S = 2.0  # without a message. Shorter: the last tasks of a slow worker are missed. Longer: a longer test.

Say = Callable[[str], None]


class Result(Struct, frozen=True, kw_only=True):
    """Of a mode: what was counted, the table, and what is wrong (nothing: it passed)."""

    counts: dict[str, float | str]
    rows: list[Row]
    wrong: list[str]


def a_session() -> str:
    """A later run is a new session, not a replay."""
    return f"test-{time.time_ns() // 1_000_000}"


async def end_to_end(
    settings: Settings, load: Load, pictures: Sequence[bytes], *, p95_limit_s: float, say: Say
) -> Result:
    """Send ``load`` and follow each of its requests to its join."""
    seen, deliveries = Seen(session=load.session), Deliveries()
    async with tailing(settings.kafka, seen), _progress(lambda: _line(seen, deliveries), say):
        sent = await _send(settings.kafka, load, pictures, deliveries)
        await _settled(seen, settings.kafka.scheduler.task_deadline_s + SETTLE_SLACK_S)
    outcomes = list(seen.outcomes.values())
    counts: dict[str, float | str] = {
        "detections sent": sent.wanted,
        "delivered": sent.delivered,
        "per second": round(sent.delivered / sent.seconds, 1),
        "requests": len(set(seen.tasks.values())),
        "tasks": len(seen.tasks),
        "tasks per second": round(len(seen.tasks) / sent.seconds, 1),
        **{name: outcomes.count(name) for name in ("assessed", "expired", "failed")},
        "joins": len(seen.joins),
        "joins in part": sum(not join.complete for join in seen.joins.values()),
        "without an outcome": len(seen.unanswered),
        "repeated outcomes": seen.repeated,
    }
    rows = verdict.latencies(seen.joins.values(), sent.acks_s)
    return Result(counts=counts, rows=rows, wrong=verdict.end_to_end(sent, seen, p95_limit_s=p95_limit_s))


async def producer(settings: Settings, load: Load, pictures: Sequence[bytes], *, say: Say) -> Result:
    """Send ``load`` and have each delivery confirmed; nobody needs to read it."""
    deliveries = Deliveries()
    async with _progress(lambda: f"{len(deliveries.acks_s)} delivered", say):
        sent = await _send(settings.kafka, load, pictures, deliveries)
    wrong = [] if sent.delivered == sent.wanted else [f"{sent.wanted - sent.delivered} were not delivered"]
    rows = [verdict.row("send to ack", sent.acks_s)] if sent.acks_s else []
    return Result(counts={"detections sent": sent.wanted, "delivered": sent.delivered}, rows=rows, wrong=wrong)


async def consumer(settings: Settings, *, within_s: float, since: float, say: Say) -> Result:
    """Read what arrives on the topics, from ``since`` (epoch seconds) on, until each stage was seen."""
    seen = Seen()
    async with tailing(settings.kafka, seen, since=since), _progress(lambda: _messages(seen), say):
        await _until(lambda: all(seen.messages[stage] for stage in STAGES), within_s)
    counts: dict[str, float | str] = {stage.replace("_", "-"): seen.messages[stage] for stage in STAGES}
    recent = [join for join in seen.joins.values() if join.times.captured_at >= since]
    return Result(counts=counts, rows=verdict.latencies(recent), wrong=verdict.consumer(seen, within_s))


@dataclass
class Deliveries:
    """The seconds from send to the broker's word, of each that it gave."""

    acks_s: list[float] = field(default_factory=list)
    failed: int = 0


class _Watched:
    """A producer whose deliveries are noted."""

    def __init__(self, of: AIOKafkaProducer, deliveries: Deliveries) -> None:
        self._of, self._deliveries = of, deliveries

    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future:
        began = time.monotonic()
        future = await self._of.send(topic, value=value, key=key)
        future.add_done_callback(lambda done: self._done(done, began))
        return future

    def _done(self, done: asyncio.Future, began: float) -> None:
        if done.cancelled() or done.exception() is not None:
            self._deliveries.failed += 1
        else:
            self._deliveries.acks_s.append(time.monotonic() - began)


async def _send(kafka: KafkaSettings, load: Load, pictures: Sequence[bytes], deliveries: Deliveries) -> Sent:
    producer = AIOKafkaProducer(**client_options(kafka), acks="all", enable_idempotence=True)
    behind_s, began = 0.0, time.monotonic()
    try:
        async with connecting(kafka):
            await producer.start()
        topic, began = kafka.topics.detection_results.name, time.monotonic()
        with contextlib.suppress(KafkaError):  # of a delivery: `deliveries` counts what arrived, and the verdict says
            behind_s = (await publish(load, _Watched(producer, deliveries), topic, pictures))["behind_s"]
        seconds = max(load.seconds, time.monotonic() - began)
    finally:
        await producer.stop()
    return Sent(
        wanted=load.detections,
        delivered=len(deliveries.acks_s),
        seconds=seconds,
        behind_s=behind_s,
        acks_s=tuple(deliveries.acks_s),
    )


async def _until(condition: Callable[[], bool], within_s: float) -> None:
    """Return when it holds, or the time is over: the verdict sees which."""
    until = time.monotonic() + within_s
    while not condition() and time.monotonic() < until:  # noqa: ASYNC110 (what is waited for is others' work)
        await asyncio.sleep(LOOK_EVERY_S)


async def _settled(seen: Seen, within_s: float) -> None:
    """Return when all is answered and nothing has come for a while: the last detection's tasks may be under way."""
    until = time.monotonic() + within_s
    count, changed_at = seen.messages.total(), time.monotonic()
    while (now := time.monotonic()) < until and not (seen.settled() and now - changed_at > QUIET_S):
        if seen.messages.total() != count:
            count, changed_at = seen.messages.total(), now
        await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def _progress(line: Callable[[], str], say: Say) -> AsyncIterator[None]:
    began, background = time.monotonic(), Background()

    async def tell() -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            say(f"{time.monotonic() - began:4.0f} s  {line()}")

    background.spawn(tell(), name="progress")
    try:
        yield
    finally:
        await background.close()


def _line(seen: Seen, deliveries: Deliveries) -> str:
    sent, done = f"{len(deliveries.acks_s)} detections delivered", f"{len(seen.joins)} joined"
    return f"{sent}, {len(seen.tasks)} tasks, {len(seen.outcomes)} with an outcome, {done}"


def _messages(seen: Seen) -> str:
    return ", ".join(f"{seen.messages[stage]} on {stage.replace('_', '-')}" for stage in STAGES)
