"""The three stages in one process: what the agents do over Kafka, done with the same core and no infrastructure.

What is in flight is lost when the process ends: that is what mode 2 is for.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Protocol

import structlog

from vision_stream import metrics, results
from vision_stream.background import Background
from vision_stream.gating import CameraGate, gate, learn
from vision_stream.joining import CameraResults, join, overdue
from vision_stream.messages import (
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    CameraStatus,
    Detection,
    GroupAssessment,
    Overdue,
    outcome_name,
)
from vision_stream.settings import Settings
from vision_stream.stores import AssessmentCache
from workers.audience import Audience

_log = structlog.get_logger(__name__)

TASKS_PER_CALL = 10  # tasks held for each call in flight. More would only wait for their deadline
TICK_S = 1.0


class Assessor(Protocol):
    async def assess(self, task: AssessmentTask) -> GroupAssessment: ...


class Pipeline:
    """A sink for capture workers. Detections are shown at once; their assessment follows and never holds them up."""

    def __init__(self, settings: Settings, assessor: Assessor, audience: Audience, cache: AssessmentCache) -> None:
        self._settings = settings
        self._assessor = assessor
        self._audience = audience
        self._cache = cache
        self._gates: defaultdict[str, CameraGate] = defaultdict(CameraGate)
        self._results: defaultdict[str, CameraResults] = defaultdict(CameraResults)
        self._joining: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._assessing: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._limit = TASKS_PER_CALL * settings.kafka.scheduler.max_concurrent_tasks
        self._background = Background()

    async def start(self) -> None:
        self._background.spawn(self._ticks(), name="overdue")

    async def close(self) -> None:
        await self._background.close()

    async def drain(self, within_s: float) -> bool:
        """Wait until every task has its outcome; False where ``within_s`` was not enough."""
        try:
            await asyncio.wait_for(self._idle.wait(), within_s)
        except TimeoutError:
            return False
        return True

    async def status(self, status: CameraStatus) -> None:
        await self._audience.status(status)

    async def detection(self, detection: Detection) -> None:
        await self._audience.detection(detection)
        if len(self._assessing) >= self._limit:
            metrics.groups_skipped.labels("too many tasks waiting").inc(len(detection.groups))
            return
        gated = gate(
            self._gates[detection.camera_id],
            detection,
            self._settings.gating,
            task_deadline_s=self._settings.kafka.scheduler.task_deadline_s,
            now=time.time(),
        )
        self._gates[detection.camera_id] = gated.state
        _log.debug("gated", tasks=[task.task_id for task in gated.tasks], skipped=gated.skips)
        for reason, count in gated.skips.items():
            metrics.groups_skipped.labels(reason).inc(count)
        for task in gated.tasks:
            self._assessing.add(task.task_id)
            self._idle.clear()
            self._background.spawn(self._assess(task), name=f"assess {task.task_id}")

    async def _assess(self, task: AssessmentTask) -> None:
        try:
            outcome = await self._assessor.assess(task)
            metrics.tasks.labels(outcome_name(outcome)).inc()
            reason = getattr(outcome, "reason", None)
            _log.debug("outcome", task=task.task_id, outcome=outcome_name(outcome), reason=reason)
            await self._join(outcome)
        finally:
            self._assessing.discard(task.task_id)
            if not self._assessing:
                self._idle.set()

    async def _join(self, message: GroupAssessment | Overdue) -> None:
        camera_id = message.camera_id
        async with self._joining[camera_id]:
            now = time.time()
            joined = join(self._results[camera_id], message, self._settings.alerts, now=now)
            self._results[camera_id] = joined.state
            closed = [news.request_id for news in joined.messages if isinstance(news, CameraAssessment)]
            _log.debug("joined", closed=closed, alerts=len(joined.messages) - len(closed))
            for news in joined.messages:
                await self._publish(news, now)

    async def _publish(self, news: CameraMessage, now: float) -> None:
        await self._audience.assessment(news)
        if isinstance(news, CameraAssessment):
            self._gates[news.camera_id] = learn(self._gates[news.camera_id], news)
        results.count(news, now)
        await results.remember(self._cache, news, latest_ttl_s=self._settings.redis.latest_ttl_s)

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = time.time()
            for camera_id, state in list(self._results.items()):
                late = overdue(state, now, self._settings.alerts)
                if late:
                    await self._join(Overdue(request_id=late[0], camera_id=camera_id, at=now))
