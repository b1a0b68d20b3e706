"""Members of a capture group on a real Kafka: who is told to watch what, when one comes, goes, or is thrown out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.conftest import SettingsMaker
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.background import Background
from vision_stream.broker import KafkaBroker
from vision_stream.settings import KafkaSettings
from workers.capture.group.membership import Membership

CAMERAS = ("north", "south", "east", "west")


class Worker:
    """A member, and what it has been told, the last last."""

    def __init__(self, kafka: KafkaSettings, tasks: Background, *, configured: str = "same") -> None:
        self.told: list[frozenset[str]] = []
        self.membership = Membership(kafka, "yard", self.told.append, fence_s=0.5)
        self.membership.watch(CAMERAS, configured)
        self._task = tasks.spawn(self.membership.run(), name="member")

    @property
    def cameras(self) -> frozenset[str]:
        return self.told[-1] if self.told else frozenset()

    async def leave(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


Hire = Callable[..., Worker]


@pytest.fixture
async def settings(kafka_settings: SettingsMaker) -> KafkaSettings:
    settings = kafka_settings(kafka={"session_timeout_s": 6.0})
    await topics.ensure(settings, wait_s=20)
    return settings.kafka


@pytest.fixture
async def hire(settings: KafkaSettings) -> AsyncIterator[Hire]:
    tasks = Background()
    yield lambda **options: Worker(settings, tasks, **options)
    await tasks.close()


async def shared(*workers: Worker, cameras: tuple[str, ...] = CAMERAS) -> None:
    """Each camera with one of them, evenly."""
    await eventually(
        lambda: (
            sorted(camera for worker in workers for camera in worker.cameras) == sorted(cameras)
            and max(len(worker.cameras) for worker in workers) - min(len(worker.cameras) for worker in workers) <= 1
        ),
        within_s=15,
        what=f"shared; {[sorted(worker.cameras) for worker in workers]}",
    )


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
    assert all(kept <= told for told in second.told[-1:])


async def test_a_camera_that_is_added_moves_no_other(hire: Hire):
    first, second = hire(), hire()
    await shared(first, second)
    before = (first.cameras, second.cameras)

    for worker in (first, second):
        worker.membership.watch((*CAMERAS, "new"), "same")

    await shared(first, second, cameras=(*CAMERAS, "new"))
    assert before[0] <= first.cameras
    assert before[1] <= second.cameras


async def test_one_whom_kafka_no_longer_knows_joins_again(hire: Hire, settings: KafkaSettings):
    first, second = hire(), hire()
    await shared(first, second)
    told = len(first.told)

    coordinator = first.membership._consumer._coordinator  # type: ignore[union-attr]
    coordinator.member_id = "somebody-else"  # as of one that was silent for too long

    await eventually(lambda: len(first.told) > told, within_s=15)
    await shared(first, second)


async def test_without_the_broker_everybody_goes_on_and_one_who_joins_waits(private_kafka: KafkaBroker, hire: Hire):
    first, second = hire(), hire()
    await shared(first, second)
    before = (first.cameras, second.cameras)

    private_kafka.kill()
    late = hire()
    await asyncio.sleep(9)  # longer than a session

    assert (first.cameras, second.cameras) == before
    assert late.told == []
    await private_kafka.restart()
    await shared(first, second, late)
