from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.builders import a_detection, a_group, an_object
from tests.waiting import eventually
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    CameraStatus,
    Detection,
    GroupAssessment,
    decode,
)
from vision_stream.settings import Settings
from vision_stream.stores.cache import MemoryCache
from workers.standalone.pipeline import Pipeline


class Screen:
    """An audience that remembers what it was shown."""

    def __init__(self) -> None:
        self.detections: list[Detection] = []
        self.messages: list[CameraMessage] = []

    async def detection(self, detection: Detection) -> None:
        self.detections.append(detection)

    async def status(self, status: CameraStatus) -> None: ...

    async def assessment(self, message: CameraMessage) -> None:
        self.messages.append(message)


class Judge:
    """Answers by the group's index, once it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def assess(self, task: AssessmentTask) -> GroupAssessment:
        await self.may_answer.wait()
        fields = ("task_id", "request_id", "camera_id", "group", "group_count", "deadline", "times")
        level = ("low", "high", "none")[task.group.index]
        return Assessed(risk_level=level, confidence=0.9, **{name: getattr(task, name) for name in fields})


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
async def pipeline(screen: Screen, judge: Judge, cache: MemoryCache) -> AsyncIterator[Pipeline]:
    pipeline = Pipeline(Settings(), judge, screen, cache)
    await pipeline.start()
    yield pipeline
    await pipeline.close()


def three_groups(**fields) -> Detection:
    groups = [a_group(i, an_object(2 * i, x=300 * i + 50), an_object(2 * i + 1, x=300 * i + 90)) for i in range(3)]
    return a_detection(*groups, **fields)


async def test_a_detection_is_shown_while_the_llm_still_thinks(pipeline: Pipeline, screen: Screen):
    await pipeline.detection(three_groups())

    assert len(screen.detections) == 1
    assert screen.messages == []


async def test_three_groups_give_one_push_with_the_highest_risk(pipeline: Pipeline, screen: Screen, judge: Judge):
    await pipeline.detection(three_groups())
    judge.may_answer.set()

    assert await pipeline.drain(within_s=5)
    pushes = [m for m in screen.messages if isinstance(m, CameraAssessment)]
    assert [(p.max_risk_level, p.complete) for p in pushes] == [("high", True)]


async def test_the_latest_assessment_and_the_alert_are_kept(pipeline: Pipeline, cache: MemoryCache, judge: Judge):
    judge.may_answer.set()
    await pipeline.detection(three_groups())
    assert await pipeline.drain(within_s=5)

    latest = decode(await cache.latest("cam-01"), CameraMessage)
    assert isinstance(latest, CameraAssessment)
    assert [alert.state for alert in await cache.alerts("cam-01")] == ["opened"]


async def test_an_alert_that_nothing_confirms_is_resolved_by_time(pipeline: Pipeline, cache: MemoryCache, judge: Judge):
    judge.may_answer.set()
    await pipeline.detection(three_groups(captured_at=1000))  # long ago

    async def resolved() -> bool:
        return [alert.state for alert in await cache.alerts("cam-01")] == ["resolved"]

    await eventually(resolved, within_s=5)


async def test_a_drain_that_is_too_short_says_so(pipeline: Pipeline):
    await pipeline.detection(three_groups())

    assert not await pipeline.drain(within_s=0.01)
