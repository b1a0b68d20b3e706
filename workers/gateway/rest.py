"""``/api/v1``: the same as on the socket, for whoever asks instead of listening."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Literal

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from vision_stream.errors import MessageError
from vision_stream.messages import (
    CAMERA_REMOVED,
    Alert,
    CameraAssessment,
    CameraState,
    CameraStatus,
    Detection,
    RiskLevel,
    decode,
    encode,
    without_picture,
)
from vision_stream.settings import CameraSettings
from workers.gateway import keys
from workers.gateway.board import CameraView
from workers.gateway.health import NO_STORE
from workers.gateway.roster import Roster

DEFAULT_ALERTS = 100
MAX_ALERTS = 1000
CACHE_WAIT_S = 2.0  # for Redis, of one request; what it has not said by then is left out
CACHE_CALLS = 16  # at a time, of one request


class Zone(Struct, frozen=True, kw_only=True):
    """As config/cameras.yaml has it: corners as shares of the picture."""

    name: str
    kind: Literal["include", "exclude", "carriageway"]
    points: tuple[tuple[float, ...], ...]  # x, y


class CameraSummary(Struct, frozen=True, kw_only=True):
    camera_id: str
    name: str
    state: CameraState | Literal["unknown"]  # unknown: configured or seen, and its worker has not said
    reason: str
    last_detection_at: float | None
    objects: int
    fps: float
    max_risk_level: RiskLevel | None
    assessed_at: float | None
    open_alerts: int
    zones: tuple[Zone, ...] = ()  # as they are configured now
    known_by: Literal["configuration", "api", "messages"]  # who describes it; messages: nobody, it was heard of
    watched: bool  # whether it should be; by nobody described: False


class Cameras(Struct, frozen=True, kw_only=True):
    server_time: float
    cameras: tuple[CameraSummary, ...]
    control: bool = False  # whether cameras are started and stopped over this API


class Latest(Struct, frozen=True, kw_only=True):
    """The newest known of one camera; None where there is nothing."""

    server_time: float
    camera_id: str
    detection: Detection | None
    assessment: CameraAssessment | None
    status: CameraStatus | None
    alerts: tuple[Alert, ...]


class Alerts(Struct, frozen=True, kw_only=True):
    server_time: float
    alerts: tuple[Alert, ...]  # newest opened first


class Problem(Struct, frozen=True, kw_only=True):
    code: str
    message: str


def routes() -> list[web.RouteDef]:
    return [
        web.get("/api/v1/cameras", cameras),
        web.get("/api/v1/cameras/{camera_id}/latest", latest),
        web.get("/api/v1/cameras/{camera_id}/snapshot", snapshot),
        web.get("/api/v1/alerts", alerts),
        web.get("/api/v1/openapi.json", openapi),
    ]


async def cameras(request: web.Request) -> web.Response:
    """Those of config/cameras.yaml and of the API, and those that were heard of and not removed since."""
    roster, board = request.app[keys.ROSTER], request.app[keys.HUB].board
    views = {view.camera_id: view for view in board.views() if view.camera_id in roster.cameras or not _removed(view)}
    summaries = tuple(_summary(name, views.get(name), roster) for name in sorted({*views, *roster.cameras}))
    return answer(Cameras(server_time=time.time(), cameras=summaries, control=keys.DESK in request.app))


def _removed(view: CameraView) -> bool:
    return view.status is not None and view.status.reason == CAMERA_REMOVED


def _summary(camera_id: str, view: CameraView | None, roster: Roster) -> CameraSummary:
    view, configured = view or CameraView(camera_id), roster.cameras.get(camera_id)
    disabled = view.status is None and configured is not None and not configured.enabled
    return CameraSummary(
        camera_id=camera_id,
        name=configured.name if configured is not None and configured.name else camera_id,
        state=view.status.state if view.status is not None else "disabled" if disabled else "unknown",
        reason=view.status.reason if view.status is not None else "",
        last_detection_at=view.detection.times.captured_at if view.detection is not None else None,
        objects=len(view.detection.objects) if view.detection is not None else 0,
        fps=round(view.fps, 2),
        max_risk_level=view.assessment.max_risk_level if view.assessment is not None else None,
        assessed_at=view.assessment.times.joined_at if view.assessment is not None else None,
        open_alerts=sum(alert.state != "resolved" for alert in view.alerts),
        zones=_zones(configured),
        known_by="messages" if configured is None else "configuration" if camera_id in roster.configured else "api",
        watched=configured is not None and configured.enabled,
    )


def _zones(configured: CameraSettings | None) -> tuple[Zone, ...]:
    if configured is None:
        return ()
    return tuple(Zone(name=zone.name, kind=zone.kind, points=zone.points) for zone in configured.zones)


async def latest(request: web.Request) -> web.Response:
    camera_id = request.match_info["camera_id"]
    view = request.app[keys.HUB].board.get(camera_id)
    cached = await _cached_assessment(request, camera_id)
    if view is None and cached is None and camera_id not in request.app[keys.ROSTER].cameras:
        return problem(404, "unknown_camera", "no message of this camera has been seen")
    view = view or CameraView(camera_id)
    return answer(
        Latest(
            server_time=time.time(),
            camera_id=camera_id,
            detection=_without_pictures(view.detection),
            assessment=_newest(view.assessment, cached),
            status=view.status,
            alerts=tuple(merged([*view.alerts, *await _cached_alerts(request, [camera_id], DEFAULT_ALERTS)])),
        )
    )


async def snapshot(request: web.Request) -> web.Response:
    """The camera's newest frame; 404 where none is younger than its time to live."""
    frames = request.app[keys.STORES].frames
    try:
        async with asyncio.timeout(CACHE_WAIT_S):
            jpeg = await frames.latest(request.match_info["camera_id"])
    except TimeoutError:
        jpeg = None
    if jpeg is None:
        return problem(404, "no_picture", "no recent picture of this camera")
    return web.Response(body=jpeg, content_type="image/jpeg", headers=NO_STORE)


async def alerts(request: web.Request) -> web.Response:
    """``camera``: of one camera; ``limit``: 1 to 1000, 100 unless said."""
    try:
        limit = int(request.query.get("limit", str(DEFAULT_ALERTS)))
    except ValueError:
        limit = 0
    if not 1 <= limit <= MAX_ALERTS:
        return problem(400, "bad_limit", f"limit is a whole number from 1 to {MAX_ALERTS}")
    board, camera_id = request.app[keys.HUB].board, request.query.get("camera")
    views = [view for view in board.views() if camera_id in (None, view.camera_id)]
    names = [camera_id] if camera_id is not None else [view.camera_id for view in views]
    found = [alert for view in views for alert in view.alerts]
    found += await _cached_alerts(request, names, limit)
    return answer(Alerts(server_time=time.time(), alerts=tuple(merged(found)[:limit])))


def merged(found: Iterable[Alert]) -> list[Alert]:
    """One row an alert, its newest state; newest opened first."""
    rows: dict[str, Alert] = {}
    for alert in found:
        kept = rows.get(alert.alert_id)
        if kept is None or alert.updated_at > kept.updated_at:
            rows[alert.alert_id] = alert
    return sorted(rows.values(), key=lambda alert: (alert.opened_at, alert.alert_id), reverse=True)


async def _cached_assessment(request: web.Request, camera_id: str) -> CameraAssessment | None:
    try:
        async with asyncio.timeout(CACHE_WAIT_S):
            payload = await request.app[keys.STORES].cache.latest(camera_id)
        return decode(payload, CameraAssessment) if payload is not None else None
    except (TimeoutError, MessageError):
        return None


async def _cached_alerts(request: web.Request, camera_ids: list[str], limit: int) -> list[Alert]:
    """Of the cache, as far as it answers in time."""
    cache, free = request.app[keys.STORES].cache, asyncio.Semaphore(CACHE_CALLS)
    found: list[Alert] = []

    async def collect(camera_id: str) -> None:
        async with free:
            found.extend(await cache.alerts(camera_id, limit=limit))

    try:
        async with asyncio.timeout(CACHE_WAIT_S), asyncio.TaskGroup() as group:
            for camera_id in camera_ids:
                group.create_task(collect(camera_id))
    except TimeoutError:
        pass
    return found


def _newest(one: CameraAssessment | None, other: CameraAssessment | None) -> CameraAssessment | None:
    known = [assessment for assessment in (one, other) if assessment is not None]
    return max(known, key=lambda assessment: assessment.times.captured_at, default=None)


def _without_pictures(detection: Detection | None) -> Detection | None:
    if detection is None or not detection.groups:
        return detection
    return replace(detection, groups=tuple(without_picture(group) for group in detection.groups))


async def openapi(request: web.Request) -> web.Response:
    from workers.gateway.openapi import document

    return web.json_response(document())


def answer(body: Struct, *, status: int = 200) -> web.Response:
    return web.Response(body=encode(body), status=status, content_type="application/json", headers=NO_STORE)


def problem(status: int, code: str, message: str) -> web.Response:
    return answer(Problem(code=code, message=message), status=status)
