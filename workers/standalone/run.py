"""Mode 1's process: the page first, then detector and cameras; ends at Ctrl-C, or when all sources have."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from vision_stream import tracing
from vision_stream.config import Loaded
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.reloading import following
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.messages import Alert, CameraMessage, CameraStatus, Detection, outcome_name
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.open import Stores, open_stores
from workers.audience import Audience
from workers.capture.detectors import open_detector
from workers.capture.inference import Inference
from workers.capture.privacy import open_redactor
from workers.capture.status import tell_refused
from workers.capture.worker import CaptureWorker
from workers.ending import Ending
from workers.gateway.desk import Desk
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster
from workers.gateway.server import build, serving
from workers.mqtt.beside import telling
from workers.standalone.cameras import Cameras
from workers.standalone.kept_commands import KEPT_COMMANDS, KeptCommands
from workers.standalone.pipeline import Pipeline

_log = structlog.get_logger(__name__)

DRAIN_SLACK_S = 2.0  # past the last task's deadline


@dataclass(frozen=True)
class Plan:
    cameras: tuple[CameraSettings, ...]
    loop: bool = True  # files start again at their end
    seconds: float | None = None  # end after these
    follows: bool = False  # the cameras are those of the configuration, also where they change
    fps: float | None = None  # instead of theirs


@dataclass
class Summary:
    """What went through; counted where a browser would see it."""

    detections: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    pushes: int = 0
    alerts: set[str] = field(default_factory=set)

    def text(self) -> str:
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(self.outcomes.items())) or "none"
        return (
            f"{self.detections} detections; assessment tasks: {outcomes}; "
            f"{self.pushes} risk assessments; {len(self.alerts)} alerts"
        )

    def as_json(self) -> str:
        return json.dumps(
            {
                "detections": self.detections,
                "outcomes": dict(self.outcomes),
                "risk_assessments": self.pushes,
                "alerts": len(self.alerts),
            }
        )


class Told:
    """The hub and who else is told, with a count of it."""

    def __init__(self, hub: Hub, summary: Summary) -> None:
        self._audiences: list[Audience] = [hub]
        self._summary = summary

    def also(self, audience: Audience) -> None:
        self._audiences.append(audience)

    async def detection(self, detection: Detection) -> None:
        self._summary.detections += 1
        for audience in self._audiences:
            await audience.detection(detection)

    async def status(self, status: CameraStatus) -> None:
        for audience in self._audiences:
            await audience.status(status)

    async def assessment(self, message: CameraMessage) -> None:
        if isinstance(message, Alert):
            self._summary.alerts.add(message.alert_id)
        else:
            self._summary.pushes += 1
            self._summary.outcomes.update(map(outcome_name, message.assessments))
        for audience in self._audiences:
            await audience.assessment(message)


async def run(
    settings: Settings, plan: Plan, *, on_ready: Callable[[str], None], configured: Callable[[], Loaded] | None = None
) -> tuple[int, Summary]:
    """Run until the end; returns the exit code and what went through.

    Args:
        on_ready: told the dashboard's address once it answers.
        configured: reads the settings again, so that changed API keys and cameras are taken over; None: they stay.
    Raises:
        VisionStreamError: a source or the model cannot be used, or the gateway's port is taken.
    """
    tracing.start(settings.monitoring.tracing, "vision-stream-standalone")
    ending, summary, hub = Ending(), Summary(), Hub()
    stores, inference = open_stores(settings), Inference()
    configured_now = settings.cameras.cameras if plan.follows else plan.cameras
    roster, told = Roster(configured_now, hub), Told(hub, summary)
    kept = KeptCommands(Path(settings.data_dir) / KEPT_COMMANDS) if settings.gateway.camera_control else None
    desk = Desk(settings, roster, kept, commands=kept.commands) if kept is not None else None
    cameras = Cameras(configured_now, roster, kept, configured if plan.follows else None, plan.fps)
    scheduler = LLMScheduler(
        settings.llm,
        settings.kafka.scheduler,
        stores.evidence,
        MemoryCooldowns(),
        limits_dir=Path(settings.data_dir) / "limits",  # also over restarts
    )
    pipeline = Pipeline(settings, scheduler, told, stores.cache)
    try:
        async with AsyncExitStack() as stack:
            at = await stack.enter_async_context(serving(build(settings, hub, stores, roster=roster, desk=desk)))
            await stack.enter_async_context(asyncio.timeout(plan.seconds))
            on_ready(f"{at.url}/")
            if settings.mqtt.enabled:
                sink = await stack.enter_async_context(telling(settings, configured_now, only_these=True))
                told.also(sink)
                cameras.takers.append(sink.configure)
            await scheduler.start()
            if configured is not None:
                await stack.enter_async_context(following(configured, scheduler.reload))
            await pipeline.start()
            watching = asyncio.ensure_future(_watch(cameras, settings, plan, inference, stores, pipeline))
            await ending.until_told(watching)
    except TimeoutError:
        if plan.seconds is None:
            raise
    finally:
        await pipeline.close()
        await scheduler.close()
        await stores.close()
        inference.close()
        await tracing.stop()
    return ending.code, summary


async def _watch(
    cameras: Cameras, settings: Settings, plan: Plan, inference: Inference, stores: Stores, pipeline: Pipeline
) -> None:
    """All cameras to their ends, and their tasks to their outcomes; one that breaks off does not end the others."""
    redactor = await inference.run(open_redactor, settings.evidence.redact)
    detector = await inference.run(open_detector, settings.model)

    def hire(camera: CameraSettings) -> CaptureWorker:
        return CaptureWorker(
            camera,
            settings,
            detector=detector,
            inference=inference,
            sink=pipeline,
            evidence=stores.evidence,
            frames=stores.frames,
            loop=plan.loop,
            redactor=redactor,
        )

    failures = await cameras.watch(hire, lambda camera, why: tell_refused(camera.id, pipeline, why))
    await _drain(pipeline, settings)
    if failures:
        raise failures[0]


async def _drain(pipeline: Pipeline, settings: Settings) -> None:
    if not await pipeline.drain(settings.kafka.scheduler.task_deadline_s + DRAIN_SLACK_S):
        _log.error("ended before all tasks had their outcome")
