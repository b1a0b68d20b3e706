"""``/api/v1/cameras`` where it changes something: starts, stops and forgets cameras. Off unless a setting says so.

A page of another origin must not start a camera in the name of a browser that is logged in: what changes something
wants JSON, which no form sends and no foreign script may without being asked for, and the origin is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from msgspec import Struct

from vision_stream.api_sources import SourceRefused
from vision_stream.errors import DependencyError
from workers.gateway import keys
from workers.gateway.desk import Desk, Refused, Wanted
from workers.gateway.rest import answer, problem

STATUS = {  # of a refusal; of a source 403
    "unknown_camera": 404,
    "configured_camera": 409,
    "source_known": 409,
    "too_many_cameras": 409,
    "too_many_commands": 429,
    "not_ready": 503,
}

Change = Callable[[web.Request, Desk], Awaitable[web.Response]]


class Commanded(Struct, frozen=True, kw_only=True):
    """What was asked has been written down; the camera's own messages say what came of it."""

    server_time: float
    camera_id: str
    watched: bool  # whether it should be, from now on


def routes() -> list[web.RouteDef]:
    return [
        web.post("/api/v1/cameras", add),
        web.post("/api/v1/cameras/{camera_id}/start", start),
        web.post("/api/v1/cameras/{camera_id}/stop", stop),
        web.delete("/api/v1/cameras/{camera_id}", forget),
    ]


async def add(request: web.Request) -> web.Response:
    """Watch a camera that is configured or that the request describes; 201 where it was not known before."""

    async def change(request: web.Request, desk: Desk) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=Wanted)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            return problem(
                400, "bad_request", 'expected {"camera_id": "...", "source": "rtsp://..."}; see openapi.json'
            )
        is_new = await desk.start(wanted, now=time.time())
        return _commanded(wanted.camera_id, watched=True, status=201 if is_new else 200)

    return await _changed(request, change)


async def start(request: web.Request) -> web.Response:
    """Watch a known camera, as it was watched last."""
    return await _switched(request, on=True)


async def stop(request: web.Request) -> web.Response:
    """Do not watch a camera until somebody starts it, over restarts too."""
    return await _switched(request, on=False)


async def _switched(request: web.Request, *, on: bool) -> web.Response:
    async def change(request: web.Request, desk: Desk) -> web.Response:
        camera_id = request.match_info["camera_id"]
        await desk.switch(camera_id, on=on, now=time.time())
        return _commanded(camera_id, watched=on)

    return await _changed(request, change)


async def forget(request: web.Request) -> web.Response:
    """Take back what was commanded: the camera is as it is configured, or not known any more."""

    async def change(request: web.Request, desk: Desk) -> web.Response:
        await desk.forget(request.match_info["camera_id"])
        return web.Response(status=204)

    return await _changed(request, change, json=False)


async def _changed(request: web.Request, change: Change, *, json: bool = True) -> web.Response:
    desk = request.app.get(keys.DESK)
    if desk is None:
        return problem(403, "control_off", "cameras are not started and stopped here: gateway.camera_control is off")
    if not request.app[keys.ACCESS].allows_origin(request):
        return problem(403, "bad_origin", "ask from the gateway's own page; see gateway.allowed_origins")
    if json and request.content_type != "application/json":
        return problem(415, "not_json", "the request's content type is to be application/json")
    try:
        return await change(request, desk)
    except (Refused, SourceRefused) as error:
        return problem(STATUS.get(error.code, 403), error.code, _in_words(error.what, error.remedy))
    except DependencyError as error:
        return problem(503, "not_delivered", _in_words(error.what, error.remedy))


def _in_words(what: str, remedy: str) -> str:
    return f"{what}; {remedy}" if remedy else what


def _commanded(camera_id: str, *, watched: bool, status: int = 200) -> web.Response:
    return answer(Commanded(server_time=time.time(), camera_id=camera_id, watched=watched), status=status)
