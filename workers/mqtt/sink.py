"""The audience that tells an MQTT broker: takes what the pipeline says and never waits for anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from vision_stream import metrics
from vision_stream.messages import CAMERA_REMOVED, Alert, CameraMessage, CameraStatus, Detection
from vision_stream.settings import CameraSettings, MqttSettings
from workers.mqtt.camera import Camera
from workers.mqtt.outbox import Outbox
from workers.mqtt.topics import Topics

MAX_CAMERAS = 5000  # as the gateway's board; further ones are not told of
LOOK_S = 1.0
CLOCKS_DIFFER_S = 5.0  # between the aggregator's host and ours; an alert of so long before our start is told again


class MqttSink:
    def __init__(
        self,
        settings: MqttSettings,
        outbox: Outbox,
        cameras: Iterable[CameraSettings] = (),
        *,
        only_these: bool = False,
        lost: Callable[[], str | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            cameras: of the configuration, for their names and zones.
            only_these: there are no others: what the broker keeps of others is from an earlier run, and goes.
            lost: why nothing is heard from the pipeline; None while it is.
            clock: seconds since the epoch.
        """
        self._settings = settings
        self._topics = Topics(settings.prefix, settings.discovery_prefix)
        self._outbox = outbox
        self._lost = lost
        self._clock = clock
        self._began = clock()
        self._only_these = only_these
        self._configured: dict[str, CameraSettings] = {}
        self._cameras: dict[str, Camera] = {}
        self._strangers: dict[str, set[str]] = {}  # topics that the broker keeps of cameras that we do not know yet
        self._removed: dict[str, None] = {}
        self._unwatched: dict[str, None] = {}  # nobody captures them any more, and they stand in the configuration yet
        self.configure(cameras)
        self.look()

    def configure(self, cameras: Iterable[CameraSettings]) -> None:
        """The configuration's cameras are these now."""
        configured = {camera.id: camera for camera in cameras}
        for camera_id, camera in self._cameras.items():
            if configured.get(camera_id) != self._configured.get(camera_id):
                camera.configure(configured.get(camera_id))
        self._configured = configured
        for camera_id in [known for known in self._unwatched if known not in configured]:
            del self._unwatched[camera_id]
            self._remove(camera_id)
        if self._only_these:
            for camera_id, each in configured.items():
                self._camera(camera_id)
                if not each.enabled:
                    self._unwatched[camera_id] = None

    async def detection(self, detection: Detection) -> None:
        camera = None if detection.camera_id in self._removed else self._camera(detection.camera_id)
        if camera is not None:
            camera.detection(detection)
            self._count_drops()

    async def status(self, status: CameraStatus) -> None:
        self._unwatched.pop(status.camera_id, None)
        if status.state == "disabled" and status.reason == CAMERA_REMOVED:
            if status.camera_id not in self._configured:
                self._remove(status.camera_id)
                return
            self._unwatched[status.camera_id] = None
        self._removed.pop(status.camera_id, None)
        camera = self._camera(status.camera_id)
        if camera is not None:
            camera.status(status, self._clock())
            self._count_drops()

    async def assessment(self, message: CameraMessage) -> None:
        camera = self._camera(message.camera_id) if isinstance(message, Alert) else None
        if camera is not None and isinstance(message, Alert):
            camera.alert(message, news=message.updated_at >= self._began - CLOCKS_DIFFER_S)
            self._count_drops()

    def kept(self, topic: str) -> None:
        """The broker keeps something of ours at ``topic``, from this run or an earlier one."""
        camera_id = self._topics.camera_of(topic)
        if camera_id in self._cameras:
            self._cameras[camera_id].adopt((topic,))
        elif camera_id is not None:
            self._keeps_of_stranger(camera_id, topic)
        elif self._only_these and self._is_of_nobody(topic):
            self._outbox.forget(topic)

    def look(self) -> None:
        """From time to time: who has been silent for long, and whether we hear anything at all."""
        now = self._clock()
        for camera in self._cameras.values():
            camera.look(now)
        self._outbox.keep(self._topics.available, b"online" if self._lost() is None else b"offline")

    async def look_for_ever(self) -> None:
        while True:
            self.look()
            self._count_drops()
            await asyncio.sleep(LOOK_S)

    def _camera(self, camera_id: str) -> Camera | None:
        camera = self._cameras.get(camera_id)
        if camera is None and len(self._cameras) < MAX_CAMERAS:
            camera = self._cameras[camera_id] = Camera(
                camera_id,
                self._topics,
                self._outbox,
                discovered=self._settings.discovery,
                lost_after_s=self._settings.lost_after_s,
            )
            camera.configure(self._configured.get(camera_id))
            camera.adopt(self._strangers.pop(camera_id, ()))
        return camera

    def _keeps_of_stranger(self, camera_id: str, topic: str) -> None:
        if self._only_these or camera_id in self._removed:
            self._outbox.forget(topic)
        elif len(self._strangers) < MAX_CAMERAS:
            self._strangers.setdefault(camera_id, set()).add(topic)

    def _is_of_nobody(self, topic: str) -> bool:
        """Whether a camera is described there that there is not."""
        return self._topics.is_description(topic) and topic not in map(self._topics.discovery, self._cameras)

    def _remove(self, camera_id: str) -> None:
        self._removed[camera_id] = None
        camera = self._cameras.pop(camera_id, None)
        if camera is not None:
            camera.remove()
        else:
            self._outbox.forget(self._topics.discovery(camera_id))
        for topic in self._strangers.pop(camera_id, ()):
            self._outbox.forget(topic)
        while len(self._removed) > MAX_CAMERAS:
            del self._removed[next(iter(self._removed))]

    def _count_drops(self) -> None:
        dropped, self._outbox.dropped = self._outbox.dropped, 0
        if dropped:
            metrics.mqtt_dropped.inc(dropped)
