"""Several cameras until their sources end or the process is told to: what ``vision-stream capture`` runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vision_stream import live, logs, metrics, tracing
from vision_stream.background import Background
from vision_stream.config import load
from vision_stream.errors import STUCK, ConfigError
from vision_stream.probes import probes
from vision_stream.redaction import redact_url
from vision_stream.settings import CameraSettings, KafkaSettings, Settings
from vision_stream.stores.open import Stores, open_stores
from workers.capture.detectors import DEMO_MODEL, Detector, open_detector
from workers.capture.fleet import Fleet
from workers.capture.following import Follow, Following
from workers.capture.hung import Watched, until_hung
from workers.capture.inference import Inference
from workers.capture.privacy import Redactor, open_redactor
from workers.capture.status import tell_refused
from workers.capture.tally import Tally, as_text
from workers.capture.worker import CaptureWorker
from workers.ending import Ending

FLUSH_WITHIN_S = 3.0  # of the 5 s that a process has to end in
GROUP_FLUSH_WITHIN_S = 1.0  # twice: before it leaves its group, and of what is left at the end


@dataclass(frozen=True)
class Plan:
    cameras: tuple[CameraSettings, ...]  # to begin with; where they are followed, all of the configuration
    loop: bool  # files start again at their end
    realtime: bool  # files are played at their own speed
    seconds: float | None = None  # end after these
    as_json: bool = False
    follow: Follow | None = None

    @property
    def in_group(self) -> bool:
        return self.follow is not None and self.follow.group is not None


def chosen_cameras(
    settings: Settings, camera: str | None, source: str | None, fps: float | None
) -> tuple[CameraSettings, ...]:
    """The cameras that a command line means: one it describes, one of cameras.yaml, or all enabled ones there.

    Raises:
        ConfigError: there is none, or none of that name.
    """
    given = {"fps": fps} if fps is not None else {}
    known = {each.id: each for each in settings.cameras.cameras}
    if source is not None:
        like = known.get(camera or "")
        fields: dict[str, Any] = like.model_dump() if like else {"id": camera or "cam-01"}
        return (CameraSettings.model_validate({**fields, "source": source, **given}),)
    if camera is not None and camera not in known:
        raise ConfigError(
            f"--camera {camera}: config/cameras.yaml has no such camera",
            remedy="give its --source, or one of " + (", ".join(known) or "... there are none"),
        )
    enabled = watched(settings.cameras.cameras, camera, fps)
    if not enabled:
        raise ConfigError(
            "there is no camera", remedy="give --source SOURCE, or write cameras into config/cameras.yaml"
        )
    return enabled


def watched(cameras: Iterable[CameraSettings], only: str | None, fps: float | None) -> tuple[CameraSettings, ...]:
    """Of a configuration's cameras ``only`` that one, else the enabled ones; ``fps`` instead of theirs."""
    chosen = [each for each in cameras if (each.id == only if only is not None else each.enabled)]
    return tuple(each.model_copy(update={"fps": fps}) if fps is not None else each for each in chosen)


def run(settings: Settings, plan: Plan, reload: Callable[[], Settings] = load) -> int:
    """Run in this process until the end; prints what was found, returns the exit code. ``reload``: see ``live``.

    Raises:
        VisionStreamError: see its kinds.
    """
    return asyncio.run(_run(settings, plan, reload))


async def _run(settings: Settings, plan: Plan, reload: Callable[[], Settings]) -> int:
    tracing.start(settings.monitoring.tracing, "vision-stream-capture")
    ending = Ending()
    inference, stores = Inference(), open_stores(settings)
    kafka = _kafka_sink(settings)
    seen = _Seen(kafka)
    background = Background()
    background.spawn(metrics.beat("capture"), name="heartbeat")
    background.spawn(live.follow_sighup(settings, reload), name="SIGHUP")

    def watch(detector: Watched) -> None:
        if settings.monitoring.watchdog.enabled:
            background.spawn(_end_where_it_hangs(detector, settings, ending), name="the detector is watched")

    try:
        async with asyncio.timeout(plan.seconds):
            work = asyncio.ensure_future(_cameras(settings, plan, inference, stores, seen, watch))
            await ending.until_told(work)
    except TimeoutError:
        if plan.seconds is None:
            raise
    finally:
        await background.close()
        if kafka is not None:
            await kafka.close(within_s=GROUP_FLUSH_WITHIN_S if plan.in_group else FLUSH_WITHIN_S)
        await stores.close()
        inference.close()
        await tracing.stop()
    _print(plan, settings, seen)
    return ending.code


@dataclass
class _Seen:
    """Which cameras there were, and what they found."""

    kafka: Any
    cameras: dict[str, CameraSettings] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def tally(self, camera: CameraSettings) -> Tally:
        self.cameras[camera.id] = camera
        return self.tallies.setdefault(camera.id, Tally(self.kafka))


async def _end_where_it_hangs(detector: Watched, settings: Settings, ending: Ending) -> None:
    await until_hung(detector, after_s=settings.monitoring.watchdog.after_s)
    ending.end(STUCK)


async def _cameras(
    settings: Settings,
    plan: Plan,
    inference: Inference,
    stores: Stores,
    seen: _Seen,
    watch: Callable[[Watched], None],
) -> None:
    """Load the detector and run the cameras, each by itself: one that breaks off does not end the others.

    Raises:
        VisionStreamError: the first of what broke off, when all have ended.
    """
    if seen.kafka is not None:
        await seen.kafka.start()
    where = settings.monitoring.prometheus
    loaded: list[Detector] = []
    probes.require("detector", lambda: None if loaded else "the model is loading")
    metrics.serve(where.port, host=where.host)
    redactor = await inference.run(open_redactor, settings.evidence.redact)
    detector = Watched(await inference.run(open_detector, settings.model))
    watch(detector)
    loaded.append(detector)
    fleet = Fleet(
        lambda camera: _worker(camera, settings, plan, detector, redactor, inference, stores, seen),
        refused=lambda camera, why: tell_refused(camera.id, seen.tally(camera), why),
    )
    if plan.follow is None:
        await _to_their_ends(fleet, plan.cameras)
    else:
        kafka = settings.kafka if settings.enable_kafka_streaming else None
        await _following(fleet, plan.cameras, plan.follow, kafka, seen)
    if fleet.failures:
        raise fleet.failures[0]


async def _to_their_ends(fleet: Fleet, cameras: Iterable[CameraSettings]) -> None:
    try:
        fleet.start(cameras)
        await fleet.until_all_ended()
    finally:
        await fleet.close()


async def _following(
    fleet: Fleet, cameras: tuple[CameraSettings, ...], follow: Follow, kafka: KafkaSettings | None, seen: _Seen
) -> None:
    following = Following(follow, kafka, fleet)
    try:
        await following.begin(cameras)
        if follow.group is not None:
            await asyncio.Event().wait()  # what has ended here may be wanted again, or another's cameras may come
        await fleet.until_all_ended()
    finally:
        await following.stop_changing()
        await fleet.close()
        if follow.group is not None:  # or our last words would come after the next owner's first
            await seen.kafka.flush(within_s=GROUP_FLUSH_WITHIN_S)
        await following.leave()


def _worker(
    camera: CameraSettings,
    settings: Settings,
    plan: Plan,
    detector: Detector,
    redactor: Redactor | None,
    inference: Inference,
    stores: Stores,
    seen: _Seen,
) -> CaptureWorker:
    return CaptureWorker(
        camera,
        settings,
        detector=detector,
        inference=inference,
        sink=seen.tally(camera),
        evidence=stores.evidence,
        frames=stores.frames,
        loop=plan.loop,
        realtime=plan.realtime,
        redactor=redactor,
    )


def _kafka_sink(settings: Settings) -> Any:
    if not settings.enable_kafka_streaming:
        return None
    from workers.capture.kafka_sink import KafkaSink

    logs.mute_kafka_client()
    return KafkaSink(settings.kafka)


def _print(plan: Plan, settings: Settings, seen: _Seen) -> None:
    kafka = seen.kafka
    delivered = {"delivered": kafka.confirmed, "dropped": kafka.dropped} if kafka is not None else {}
    model = DEMO_MODEL if settings.model.path == "demo" else settings.model.path
    rows = [
        (camera.id, redact_url(camera.source.get_secret_value()), seen.tallies[camera.id].report())
        for camera in seen.cameras.values()
    ]
    if plan.as_json:
        cameras = [{"camera": name, "source": source, **report} for name, source, report in rows]
        print(json.dumps({"detector": settings.model.backend, "model": model, "cameras": cameras, **delivered}))
        return
    for name, source, report in rows:
        print(as_text(name, source, f"{settings.model.backend} {model}", report))
    if settings.model.path == "demo" and not all(source.startswith("sim:") for _, source, _ in rows):
        print("The demo model knows simulated scenes only, and errs on real ones: give one of your own with --model.")
    if kafka is not None:
        print(f"Kafka confirmed {kafka.confirmed} detections; {kafka.dropped} messages dropped")
