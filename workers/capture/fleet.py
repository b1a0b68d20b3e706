"""The cameras of one process while they change: those added start, those removed stop and leave nothing behind.

One camera that breaks off, or cannot be started, does not end the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from vision_stream import camera_metrics
from vision_stream.background import Background
from vision_stream.errors import ConfigError
from vision_stream.messages import CAMERA_REMOVED
from vision_stream.redaction import mask
from vision_stream.settings import CameraSettings
from workers.capture.worker import CaptureWorker

_log = structlog.get_logger(__name__)
STOP_S = 10.0  # a camera's end: above the 5 s in which its worker ends what it does beside its frames


# Tells of a camera that nobody watches, and why, until cancelled.
Refused = Callable[[CameraSettings, str], Coroutine[Any, Any, None]]


async def _say_nothing(camera: CameraSettings, why: str, /) -> None: ...


@dataclass(frozen=True)
class _Running:
    camera: CameraSettings
    worker: CaptureWorker
    task: asyncio.Task[None]


@dataclass(frozen=True)
class _Unwatched:
    camera: CameraSettings
    why: str
    telling: asyncio.Task[None]


class Fleet:
    """Of one event loop. ``apply`` says which cameras there should be; ``close`` ends them all."""

    def __init__(self, hire: Callable[[CameraSettings], CaptureWorker], refused: Refused = _say_nothing) -> None:
        """
        Args:
            hire: makes a camera's worker, and raises ConfigError where its source is none.
            refused: runs as long as a camera that is added cannot be watched therefore.
        """
        self._hire = hire
        self._refused = refused
        self._running: dict[str, _Running] = {}
        self._unwatched: dict[str, _Unwatched] = {}
        self._tasks = Background()
        self._changing = False
        self._moved = asyncio.Event()  # a camera has ended, or the cameras are others now
        self.failures: list[Exception] = []

    @property
    def camera_ids(self) -> tuple[str, ...]:
        """Of the cameras that there should be, also where one has ended by itself."""
        return tuple(self._running)

    def start(self, cameras: Iterable[CameraSettings]) -> None:
        """Start the first ones. Raises ConfigError: the source of one is none; then none has been started."""
        for camera, worker in [(camera, self._hire(camera)) for camera in cameras]:
            self._launch(camera, worker)

    async def apply(self, cameras: Iterable[CameraSettings], *, elsewhere: Container[str] = ()) -> None:
        """Make these the cameras. One whose new source is none stays as it was, and that is said.

        ``elsewhere``: ids that another worker watches now, which tells of them and needs their pictures.
        """
        wanted = {camera.id: camera for camera in cameras}
        gone = [known for known in self._running if known not in wanted]
        new = [each for each in wanted.values() if (run := self._running.get(each.id)) is None or run.camera != each]
        for camera_id in self._unwatched.keys() - wanted.keys():
            self._no_longer_tell(camera_id)
        self._changing = True
        try:
            done = await asyncio.gather(  # one that is slow to stop, or fails, does not hold up the others
                *(self._hand_over(known) if known in elsewhere else self._remove(known) for known in gone),
                *(self._replace(camera) for camera in new),
                return_exceptions=True,
            )
            for failure in filter(None, done):
                raise failure
        finally:
            self._changing = False
            self._moved.set()

    async def until_all_ended(self) -> None:
        """Until the sources of all cameras have ended by themselves. Where all were removed, others may come."""
        while self._changing or not self._running or any(not each.task.done() for each in self._running.values()):
            await self._moved.wait()
            self._moved.clear()

    async def close(self) -> None:
        await self._tasks.close()

    def _launch(self, camera: CameraSettings, worker: CaptureWorker) -> None:
        task = self._tasks.spawn(self._run(worker), name=f"camera {camera.id}")
        self._running[camera.id] = _Running(camera, worker, task)

    async def _run(self, worker: CaptureWorker) -> None:
        try:
            await worker.run()
        except Exception as error:  # a backend's own errors have no common base
            self.failures.append(error)
            _log.error("camera ended", camera=worker.camera_id, error=mask(str(error)))
        finally:
            self._moved.set()

    async def _remove(self, camera_id: str) -> None:
        gone = self._running.pop(camera_id)
        await _stopped(gone, CAMERA_REMOVED)
        await gone.worker.forget()
        camera_metrics.forget(camera_id)
        _log.info("camera removed", camera=camera_id)

    async def _hand_over(self, camera_id: str) -> None:
        await _stopped(self._running.pop(camera_id), None)
        camera_metrics.forget(camera_id)
        _log.info("camera handed over", camera=camera_id)

    async def _replace(self, camera: CameraSettings) -> None:
        known = self._running.get(camera.id)
        try:
            worker = self._hire(camera)
        except ConfigError as error:
            _log.error("camera cannot be watched as configured; it stays as it was", camera=camera.id, why=str(error))
            if known is None:
                self._refuse(camera, str(error))
            return
        self._no_longer_tell(camera.id)
        if known is not None:
            await _stopped(known, "the camera starts again as it is configured now")
        self._launch(camera, worker)
        _log.info("camera added" if known is None else "camera changed", camera=camera.id)

    def _refuse(self, camera: CameraSettings, why: str) -> None:
        before = self._unwatched.get(camera.id)
        if before is not None and (before.camera, before.why) == (camera, why):
            return  # it is told of, with since when
        self._no_longer_tell(camera.id)
        telling = self._tasks.spawn(self._refused(camera, why), name=f"camera {camera.id} cannot be watched")
        self._unwatched[camera.id] = _Unwatched(camera, why, telling)

    def _no_longer_tell(self, camera_id: str) -> None:
        if (unwatched := self._unwatched.pop(camera_id, None)) is not None:
            unwatched.telling.cancel()


async def _stopped(running: _Running, reason: str | None) -> None:
    running.worker.last_words = reason
    running.task.cancel()
    _, stuck = await asyncio.wait([running.task], timeout=STOP_S)
    if stuck:
        _log.error("camera did not stop", camera=running.camera.id, within_s=STOP_S)
