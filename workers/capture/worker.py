"""One camera: its frames at the wanted rate, looked at, their evidence stored, and told to the sink."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial

import structlog

from vision_stream import tracing
from vision_stream.api_networks import networks
from vision_stream.background import Background
from vision_stream.camera_metrics import CameraMetrics
from vision_stream.messages import Detection, StageTimes
from vision_stream.redaction import mask
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores import EvidenceStore, FrameStore
from vision_stream.zones import Zones
from workers.capture.detectors import Detector
from workers.capture.evidence import EvidenceKeeper
from workers.capture.eyes import Eyes, Observation
from workers.capture.feed import Feed, FeedPolicy
from workers.capture.inference import Inference, Look
from workers.capture.lasting import lasting
from workers.capture.left_out import LeftOut
from workers.capture.privacy import Redactor
from workers.capture.relay import Legs, Relay
from workers.capture.sink import Sink
from workers.capture.sources import open_isolated, open_source
from workers.capture.sources.base import Frame, Link
from workers.capture.status import REPEAT_S, StatusTeller

_log = structlog.get_logger(__name__)


class CaptureWorker:
    """Runs until its source ends, or it is cancelled. Detector and inference thread may be shared by cameras."""

    def __init__(
        self,
        camera: CameraSettings,
        settings: Settings,
        *,
        detector: Detector,
        inference: Inference,
        sink: Sink,
        evidence: EvidenceStore,
        frames: FrameStore,
        loop: bool = True,
        realtime: bool = True,
        redactor: Redactor | None = None,
        policy: FeedPolicy | None = None,
        link: Link | None = None,
    ) -> None:
        """
        Args:
            loop, realtime, link: see ``open_source``; none: as the camera says.
            redactor: for what ``settings.evidence.redact`` says; see ``open_redactor``.

        Raises:
            ConfigError: the camera's source is none.
        """
        if redactor is None and settings.evidence.redact:
            raise TypeError("pictures are to be redacted, and there is no redactor")
        self.camera_id = camera.id
        self.session = f"{time.time_ns() // 1_000_000:x}"  # of this run; grows with time
        self.sequence = 0
        self.last_words: str | None = "the worker ended"  # the reason that is told when it does; None: others tell
        self._profile = camera.prompt_profile
        # Over Kafka, only what lies in Redis can be seen by those who read our messages.
        self._inline = settings.enable_kafka_streaming and not settings.redis_enabled
        self._keeper = EvidenceKeeper(None if self._inline else evidence, ttl_s=settings.redis.evidence_ttl_s)
        self._frames = frames
        self._frame_ttl_s = settings.redis.frame_ttl_s
        self._eyes = Eyes(
            settings.clustering,
            fps=camera.fps,
            inline=self._inline,
            zones=Zones(camera.zones),
            redactor=redactor,
        )
        self._model = detector.name[:100]
        self._inference = inference
        self._sink = sink
        self._status = StatusTeller(camera.id, sink)
        nets = networks(settings.cameras.api_networks)
        link = link or Link(camera.rtsp_transport)
        isolated = open_isolated(camera.source.get_secret_value(), fps=camera.fps, link=link, networks=nets)
        # Only what has a driver can freeze: a film or a drawn scene may stand still.
        frozen_s = camera.frozen_s if isolated is not None else None
        source = open_source(
            camera.source.get_secret_value(), fps=camera.fps, loop=loop, realtime=realtime, link=link, networks=nets
        )
        self._live = source.live
        self._counts = CameraMetrics(camera.id)
        self._unseen = LeftOut("detector", self._counts)
        self._untold = LeftOut("description", self._counts)
        self._feed = Feed(
            source,
            changed=self._status.change,
            captured=self._counts.captured,
            skipped=self._counts.passed_over,
            reconnecting=self._counts.reconnected,
            isolated=isolated,
            policy=policy or FeedPolicy(stall_s=max(FeedPolicy.stall_s, 3 / camera.fps), frozen_s=frozen_s),
        )
        self._seat = inference.seat(detector, self._feed.newer)

    async def run(self) -> None:
        """Raises SourceError: a source that is not live broke off, or could not be opened."""
        background = Background()
        self._counts.begin()
        background.spawn(self._repeat_status(), name=f"status of {self.camera_id}")
        try:
            await lasting(self._watch, self._broke_off)
        finally:
            await background.close()
            await self._feed.close()
            if not isinstance(sys.exception(), Exception):  # broke off: the gauge stays, grows old and wakes somebody
                self._counts.end()
            if self.last_words is not None:
                await self._status.change("disabled", self.last_words)

    async def _watch(self) -> None:
        async with Relay() as relay, aclosing(self._feed.frames()) as frames:
            async for frame in frames:
                await relay.start(partial(self._handle, frame))

    async def _broke_off(self, error: Exception) -> None:
        """Of a live source that is no reason to end: nobody else would begin it again."""
        if not self._live:
            raise error
        _log.error("camera broke off, trying again", camera=self.camera_id, error=mask(str(error)), exc_info=error)
        with contextlib.suppress(Exception):  # it may be the telling that fails
            await self._status.change("reconnecting", f"an error in the worker: {type(error).__name__}")

    async def forget(self) -> None:
        """Delete the pictures of this run that still lie in the stores; after ``run`` has ended."""
        await self._keeper.forget(now=time.time())
        await self._frames.delete(self.camera_id)

    async def _handle(self, frame: Frame, legs: Legs) -> None:
        with tracing.frame(self.camera_id, frame.captured_at):
            self._counts.newest(frame.captured_at)
            look = await self._look(frame, legs.begins)
            if look is None:
                return
            self._counts.newest(look.frame.captured_at)
            self._counts.inferred(look.inference_s)
            await legs.second()
            try:
                await self._show(look)
            except Exception as error:  # one strange picture must not end its camera
                self._untold.failed(error)
            else:
                self._untold.worked()

    async def _show(self, look: Look) -> None:
        """Make of what was found what there is to tell, and tell it."""
        frame = look.frame
        with tracing.step("describe"):
            seen = await self._inference.afterwards(self._eyes.observe, frame, look.objects)
        with tracing.step("keep pictures"):
            detection, _ = await asyncio.gather(self._detection(look, seen), self._keep_newest(seen.frame_jpeg))
        with structlog.contextvars.bound_contextvars(request_id=detection.detection_id):
            await self._tell(frame, detection)

    async def _keep_newest(self, jpeg: bytes | None) -> None:
        if jpeg is not None:
            await self._frames.put(self.camera_id, jpeg, ttl_s=self._frame_ttl_s)

    async def _tell(self, frame: Frame, detection: Detection) -> None:
        tracing.note(request_id=detection.detection_id, objects=len(detection.objects), groups=len(detection.groups))
        _log.debug("detected", objects=len(detection.objects), groups=len(detection.groups))
        await self._sink.detection(detection)
        if not getattr(self._sink, "counts_deliveries", False):
            self._counts.published(frame.captured_at)

    async def _look(self, frame: Frame, begins: Callable[[], None]) -> Look | None:
        """What is in the frame, or in a newer one; None where the detector failed."""
        try:
            with tracing.step("inference"):
                look = await self._seat.look(frame, begins)
        except Exception as error:  # a backend's own errors have no common base
            self._unseen.failed(error)
            return None
        self._unseen.worked()
        return look

    async def _detection(self, look: Look, seen: Observation) -> Detection:
        frame = look.frame
        self.sequence += 1
        detection_id = f"{self.camera_id}:{self.session}:{self.sequence}"
        groups = await self._keeper.keep(detection_id, seen.groups, seen.pictures, now=time.time())
        height, width = frame.image.shape[:2]
        return Detection(
            detection_id=detection_id,
            camera_id=self.camera_id,
            session=self.session,
            sequence=self.sequence,
            times=StageTimes(captured_at=frame.captured_at, detected_at=seen.done_at),
            frame_width=width,
            frame_height=height,
            objects=seen.objects,
            groups=groups,
            model=self._model,
            inference_s=look.inference_s,
            prompt_profile=self._profile,
        )

    async def _repeat_status(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_S)
            await self._status.repeat()
