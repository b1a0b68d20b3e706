"""Several cameras until their sources end or the process is told to: what ``vision-stream capture`` runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vision_stream import live, logs, metrics, tracing
from vision_stream.background import Background
from vision_stream.config import load
from vision_stream.errors import ConfigError
from vision_stream.probes import probes
from vision_stream.redaction import redact_url
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.open import Stores, open_stores
from workers.capture.detectors import DEMO_MODEL, Detector, open_detector
from workers.capture.inference import Inference
from workers.capture.sink import Sink
from workers.capture.tally import Tally, as_text
from workers.capture.together import run_together
from workers.capture.worker import CaptureWorker
from workers.ending import Ending


@dataclass(frozen=True)
class Plan:
    cameras: tuple[CameraSettings, ...]
    loop: bool  # files start again at their end
    realtime: bool  # files are played at their own speed
    seconds: float | None = None  # end after these
    as_json: bool = False


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
    if camera is not None:
        if camera not in known:
            raise ConfigError(
                f"--camera {camera}: config/cameras.yaml has no such camera",
                remedy="give its --source, or one of " + (", ".join(known) or "... there are none"),
            )
        return (known[camera].model_copy(update=given),)
    enabled = tuple(each.model_copy(update=given) for each in known.values() if each.enabled)
    if not enabled:
        raise ConfigError(
            "there is no camera", remedy="give --source SOURCE, or write cameras into config/cameras.yaml"
        )
    return enabled


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
    tallies = {camera.id: Tally(kafka) for camera in plan.cameras}
    background = Background()
    background.spawn(metrics.beat("capture"), name="heartbeat")
    background.spawn(live.follow_sighup(settings, reload), name="SIGHUP")
    try:
        async with asyncio.timeout(plan.seconds):
            work = asyncio.ensure_future(_cameras(settings, plan, inference, stores, kafka, tallies))
            await ending.until_told(work)
    except TimeoutError:
        if plan.seconds is None:
            raise
    finally:
        await background.close()
        if kafka is not None:
            await kafka.close()
        await stores.close()
        inference.close()
        await tracing.stop()
    _print(plan, settings, tallies, kafka)
    return ending.code


async def _cameras(
    settings: Settings,
    plan: Plan,
    inference: Inference,
    stores: Stores,
    kafka: Any,
    tallies: dict[str, Tally],
) -> None:
    """Load the detector and run the cameras, each by itself: one that breaks off does not end the others."""
    if kafka is not None:
        await kafka.start()
    where = settings.monitoring.prometheus
    loaded: list[Detector] = []
    probes.require("detector", lambda: None if loaded else "the model is loading")
    metrics.serve(where.port, host=where.host)
    detector = await inference.run(open_detector, settings.model)
    loaded.append(detector)
    workers = [
        _worker(camera, settings, plan, detector, inference, stores, tallies[camera.id]) for camera in plan.cameras
    ]
    await run_together(workers)


def _worker(
    camera: CameraSettings,
    settings: Settings,
    plan: Plan,
    detector: Detector,
    inference: Inference,
    stores: Stores,
    sink: Sink,
) -> CaptureWorker:
    return CaptureWorker(
        camera,
        settings,
        detector=detector,
        inference=inference,
        sink=sink,
        evidence=stores.evidence,
        frames=stores.frames,
        loop=plan.loop,
        realtime=plan.realtime,
    )


def _kafka_sink(settings: Settings) -> Any:
    if not settings.enable_kafka_streaming:
        return None
    from workers.capture.kafka_sink import KafkaSink

    logs.mute_kafka_client()
    return KafkaSink(settings.kafka)


def _print(plan: Plan, settings: Settings, tallies: dict[str, Tally], kafka: Any) -> None:
    delivered = {"delivered": kafka.confirmed, "dropped": kafka.dropped} if kafka is not None else {}
    model = DEMO_MODEL if settings.model.path == "demo" else settings.model.path
    rows = [
        (camera.id, redact_url(camera.source.get_secret_value()), tallies[camera.id].report())
        for camera in plan.cameras
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
