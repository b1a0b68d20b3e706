"""The hub: takes what the pipeline says and fans it out to the sessions that asked for it.

A Hub is a capture ``Sink`` too, so that one process needs no Kafka between. Taking a message never waits: each
session has its own bounded outbox, and the websocket that empties it is the only one that a slow browser holds back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal
from uuid import uuid4

import structlog

from vision_stream import metrics
from vision_stream.messages import CAMERA_REMOVED, CameraMessage, CameraStatus, Detection
from workers.gateway.board import Board
from workers.gateway.outbox import MAX_EVENTS, Outbox
from workers.gateway.protocol import CAMERAS_CHANGED, Push

_log = structlog.get_logger(__name__)
ALL: Literal["*"] = "*"
Wanted = Iterable[str] | Literal["*"]


class Session:
    """One browser: which cameras it wants, and what it has not been sent yet."""

    def __init__(self, session_id: str, outbox: Outbox) -> None:
        self.session_id = session_id
        self.cameras: set[str] = set()
        self.all_cameras = False
        self.outbox = outbox
        self._filled = asyncio.Event()

    @property
    def wants(self) -> tuple[str, ...] | Literal["*"]:
        return ALL if self.all_cameras else tuple(sorted(self.cameras))

    def put(self, push: Push, now: float, *, as_state: bool = False) -> None:
        displaced = self.outbox.put(push, now, as_state=as_state)
        if displaced is not None:
            metrics.ws_dropped.labels(displaced.type).inc()
        self._filled.set()

    async def next(self) -> tuple[float, Push]:
        """Wait for the next push to send; with the (monotonic) time since when it has waited."""
        while (item := self.outbox.take()) is None:
            self._filled.clear()
            await self._filled.wait()
        return item


class Hub:
    def __init__(
        self,
        board: Board | None = None,
        *,
        max_events: int = MAX_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board = board if board is not None else Board()
        self._sessions: set[Session] = set()
        self._by_camera: dict[str, set[Session]] = {}
        self._all: set[Session] = set()
        self._max_events = max_events
        self._clock = clock

    @property
    def session_count(self) -> int:
        return len(self._sessions)

    async def detection(self, detection: Detection) -> None:
        self._fan_out(self.board.detection(detection))
        metrics.push_seconds.observe(max(0.0, time.time() - detection.times.captured_at))

    async def status(self, status: CameraStatus) -> None:
        self._fan_out(self.board.status(status))
        if status.reason == CAMERA_REMOVED:  # it may be listed no more
            self.cameras_changed()

    async def assessment(self, message: CameraMessage) -> None:
        """An assessment or an alert; one that was seen before is not pushed again."""
        self._fan_out(self.board.assessment(message))

    def cameras_changed(self) -> None:
        """The configured cameras are others now: whoever listens to any may ask for them again."""
        now = self._clock()
        for session in self._sessions:
            if session.wants:
                session.put(CAMERAS_CHANGED, now)

    def _fan_out(self, push: Push | None) -> None:
        if push is None:
            return
        now = self._clock()
        sessions = (*self._all, *self._by_camera.get(push.camera_id, ()))
        for session in sessions:
            session.put(push, now)
        if push.request_id:
            _log.debug("pushed", type=push.type, request_id=push.request_id, browsers=len(sessions))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that is told nothing until it subscribes; gone at the end of the block."""
        session = Session(uuid4().hex, Outbox(max_events=self._max_events))
        self._sessions.add(session)
        metrics.ws_clients.inc()
        try:
            yield session
        finally:
            self.unsubscribe(session, ALL)
            self._sessions.discard(session)
            metrics.ws_clients.dec()

    def subscribe(self, session: Session, cameras: Wanted) -> None:
        """From now on; what is known of each camera is queued at once."""
        now = self._clock()
        for camera_id in self._not_yet(session, cameras):
            view = self.board.get(camera_id)
            for push in view.known() if view is not None else ():
                session.put(push, now, as_state=True)
        if cameras == ALL:
            self._forget_named(session)
            session.all_cameras = True
            self._all.add(session)
        elif not session.all_cameras:
            session.cameras.update(cameras)
            for camera_id in cameras:
                self._by_camera.setdefault(camera_id, set()).add(session)

    def _not_yet(self, session: Session, cameras: Wanted) -> list[str]:
        if session.all_cameras:
            return []
        wanted = [view.camera_id for view in self.board.views()] if cameras == ALL else list(dict.fromkeys(cameras))
        return [camera_id for camera_id in wanted if camera_id not in session.cameras]

    def unsubscribe(self, session: Session, cameras: Wanted) -> None:
        """Also drops what waits to be sent of them. Naming cameras has no effect on a session that wants all."""
        if cameras == ALL:
            self._all.discard(session)
            session.all_cameras = False
            self._forget_named(session)
            session.outbox.forget()
        elif not session.all_cameras:
            for camera_id in cameras:
                self._forget_one(session, camera_id)
                session.outbox.forget(camera_id)

    def _forget_named(self, session: Session) -> None:
        for camera_id in tuple(session.cameras):
            self._forget_one(session, camera_id)

    def _forget_one(self, session: Session, camera_id: str) -> None:
        session.cameras.discard(camera_id)
        listeners = self._by_camera.get(camera_id, set())
        listeners.discard(session)
        if not listeners:
            self._by_camera.pop(camera_id, None)
