"""Members of a capture group on a real Kafka: who is told to watch what, when one comes, goes, or is thrown out."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.conftest import SettingsMaker
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.background import Background
from vision_stream.broker import KafkaBroker
from vision_stream.settings import KafkaSettings
from workers.capture.group.membership import Membership

SESSION_S = 6.0  # the least that Kafka allows
CAMERAS = ("north", "south", "east", "west")


class Worker:
    """A member, and what it has been told, the last last."""

    def __init__(
        self,
        kafka: KafkaSettings,
        tasks: Background,
        *,
        configured: str = "same",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.told: list[frozenset[str]] = []
        self.membership = Membership(kafka, "yard", self.told.append, fence_s=0.5, clock=clock)
        self.membership.watch(CAMERAS, configured)
        self._task = tasks.spawn(self.membership.run(), name="member")

    @property
    def cameras(self) -> frozenset[str]:
        return self.told[-1] if self.told else frozenset()

    @property
    def coordinator(self) -> Any:
        """aiokafka's own view of the membership."""
        return self.membership._consumer._coordinator if self.membership._consumer is not None else None

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


Hire = Callable[..., Worker]


@pytest.fixture
async def settings(kafka_settings: SettingsMaker) -> KafkaSettings:
    settings = kafka_settings(kafka={"session_timeout_s": SESSION_S})
    await topics.ensure(settings, wait_s=20)
    return settings.kafka


@pytest.fixture
async def hire(settings: KafkaSettings) -> AsyncIterator[Hire]:
    tasks = Background()
    yield lambda **options: Worker(settings, tasks, **options)
    await tasks.close()


async def shared(*workers: Worker, cameras: tuple[str, ...] = CAMERAS) -> None:
    """Each camera with one of them, evenly."""

    def evenly() -> bool:
        have = [sorted(worker.cameras) for worker in workers]
        generations = [getattr(worker.coordinator, "generation", None) for worker in workers]
        assert sorted(itertools.chain(*have)) == sorted(cameras), (have, generations)
        assert max(map(len, have)) - min(map(len, have)) <= 1, (have, generations)
        return True

    # Longer than the session and a join's timeout: one that a starved broker has thrown out is in again by then.
    await eventually(evenly, within_s=40)


async def test_one_who_is_alone_has_all_and_one_who_joins_its_share(hire: Hire):
    first = hire()
    await shared(first)

    second = hire()

    await shared(first, second)


async def test_one_who_leaves_gives_its_cameras_to_the_others_at_once(hire: Hire):
    first, second = hire(), hire()
    await shared(first, second)
    kept = second.cameras

    await first.leave()

    await shared(second)
    assert kept <= second.cameras


async def test_a_camera_that_is_added_moves_no_other(hire: Hire):
    first, second = hire(), hire()
    await shared(first, second)
    before = (first.cameras, second.cameras)

    for worker in (first, second):
        worker.membership.watch((*CAMERAS, "new"), "same")

    await shared(first, second, cameras=(*CAMERAS, "new"))
    assert before[0] <= first.cameras
    assert before[1] <= second.cameras


async def test_one_with_another_configuration_than_the_leader_says_so(hire: Hire):
    leaps = itertools.count(step=100.0)
    first = hire()
    await shared(first)

    with capture_logs() as logs:
        second = hire(configured="another", clock=lambda: next(leaps))
        await shared(first, second)
        await eventually(lambda: [line for line in logs if "is not that of the worker that leads" in line["event"]])


async def test_one_whom_kafka_no_longer_knows_joins_again(hire: Hire, settings: KafkaSettings):
    first, second = hire(), hire()
    await shared(first, second)
    told = len(first.told)

    first.coordinator.member_id = "somebody-else"  # whom Kafka does not know, as one that was silent for too long

    await eventually(lambda: len(first.told) > told, within_s=15)
    await shared(first, second)


async def test_without_the_broker_everybody_goes_on_and_one_who_joins_waits(private_kafka: KafkaBroker, hire: Hire):
    first, second = hire(), hire()
    await shared(first, second)
    before = (first.cameras, second.cameras)

    private_kafka.kill()
    late = hire()
    await asyncio.sleep(SESSION_S + 1)  # after which Kafka, if it were there, would have given all to others

    assert (first.cameras, second.cameras) == before
    assert late.told == []
    first.coordinator.reset_generation()  # as if Kafka's last word had been that it is out
    await eventually(lambda: not first.cameras, within_s=5)

    await private_kafka.restart()
    await shared(first, second, late)
