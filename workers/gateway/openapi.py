"""The OpenAPI document, made from the types that the handlers answer with."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from vision_stream import __version__
from workers.gateway.control import Commanded
from workers.gateway.dashboard import Login
from workers.gateway.desk import Wanted
from workers.gateway.health import Ready
from workers.gateway.protocol import (
    CamerasChanged,
    ConnectionAck,
    ErrorMessage,
    Ping,
    Pong,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from workers.gateway.rest import DEFAULT_ALERTS, MAX_ALERTS, Alerts, Cameras, Latest, Problem

TYPES = (Cameras, Latest, Alerts, Problem, Ready, Login, Wanted, Commanded)
SOCKET_TYPES = (Subscribe, Unsubscribe, Ping, Pong, ConnectionAck, Subscribed, CamerasChanged, ErrorMessage)

REFUSED = {
    "401": {"description": "A token is set, and this is not it.", "content": {"text/plain": {}}},
    "403": {"description": "Without a token: a host that is not this machine.", "content": {"text/plain": {}}},
}
CAMERA = {"name": "camera_id", "in": "path", "required": True, "schema": {"type": "string"}}


@cache
def document() -> dict[str, Any]:
    """OpenAPI 3.1; the socket's messages stand among the schemas, because OpenAPI knows no sockets."""
    refs, components = msgspec.json.schema_components(
        (*TYPES, *SOCKET_TYPES), ref_template="#/components/schemas/{name}"
    )
    schema = dict(zip((*TYPES, *SOCKET_TYPES), refs, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Vision Stream gateway",
            "version": __version__,
            "description": "Times are seconds since the epoch, UTC; boxes are [x1, y1, x2, y2] in pixels of the frame. "
            "Live messages come by the WebSocket /ws: see the schemas Subscribe, ConnectionAck and their neighbours.",
        },
        "security": [{}, {"bearer": []}, {"query": []}],
        "paths": _paths(schema),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }


def _paths(schema: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    no_camera = {"404": _json("Nothing of this camera is known.", schema[Problem])}
    picture = {"description": "The newest frame.", "content": {"image/jpeg": {"schema": {"type": "string"}}}}
    return {
        "/api/v1/cameras": _get("The cameras", {"200": _json("All cameras.", schema[Cameras])})
        | _change("post", "Watch a camera", schema, takes=Wanted, new=True),
        "/api/v1/cameras/{camera_id}": _change("delete", "Take back what was commanded", schema),
        "/api/v1/cameras/{camera_id}/start": _change("post", "Watch a known camera", schema),
        "/api/v1/cameras/{camera_id}/stop": _change("post", "Do not watch a camera until it is started", schema),
        "/api/v1/cameras/{camera_id}/latest": _get(
            "The newest of one camera", {"200": _json("What is known.", schema[Latest]), **no_camera}, CAMERA
        ),
        "/api/v1/cameras/{camera_id}/snapshot": _get(
            "A camera's newest picture", {"200": picture, **no_camera}, CAMERA
        ),
        "/api/v1/alerts": _get(
            "The alerts, newest first",
            {"200": _json("The alerts.", schema[Alerts]), "400": _json("limit out of bounds.", schema[Problem])},
            {"name": "camera", "in": "query", "schema": {"type": "string"}},
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ALERTS, "default": DEFAULT_ALERTS},
            },
        ),
        "/api/v1/openapi.json": _get("This document", {"200": _json("OpenAPI 3.1.", {"type": "object"})}),
        "/login": {
            "post": {
                "summary": "Get the cookie that stands for the token",
                "security": [{}],
                "requestBody": {"required": True, "content": {"application/json": {"schema": schema[Login]}}},
                "responses": {
                    "204": {"description": "The cookie is set, where a token is needed."},
                    "400": _json("No JSON with a token.", schema[Problem]),
                    "401": _json("Another token.", schema[Problem]),
                    "403": _json("A page of another origin asks.", schema[Problem]),
                },
            }
        },
        "/logout": {
            "post": {
                "summary": "Drop the cookie",
                "security": [{}],
                "responses": {
                    "204": {"description": "It is gone."},
                    "403": _json("A page of another origin asks.", schema[Problem]),
                },
            }
        },
        "/metrics": _get(
            "Prometheus's metrics", {"200": {"description": "As text, or as OpenMetrics where asked for."}}
        ),
        "/healthz": _get("Whether the process answers", {"200": _json("It does.", {"type": "object"})}),
        "/readyz": _get(
            "Whether it can do its job",
            {"200": _json("Ready.", schema[Ready]), "503": _json("Not ready, and why.", schema[Ready])},
        ),
    }


def _get(summary: str, responses: dict[str, Any], *parameters: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "parameters": list(parameters), "responses": responses | REFUSED}}


def _change(
    method: str, summary: str, schema: dict[Any, dict[str, Any]], *, takes: type | None = None, new: bool = False
) -> dict[str, Any]:
    """A request that starts, stops or forgets a camera; of one that is there unless it ``takes`` a description."""
    done = _json("It is written down; the camera's messages say what comes of it.", schema[Commanded])
    refused = {
        "400": _json("No JSON, or not this one.", schema[Problem]),
        "403": {
            "description": "gateway.camera_control is off, a page of another origin asks, or the API may not name "
            "this source; `code` says which.",
            "content": {"application/json": {"schema": schema[Problem]}, "text/plain": {}},
        },
        "404": _json("No such camera.", schema[Problem]),
        "409": _json("The camera or its source is known, or there are too many.", schema[Problem]),
        "415": _json("Another content type.", schema[Problem]),
        "429": _json("Too many commands in a minute.", schema[Problem]),
        "503": _json("The command was not confirmed in time.", schema[Problem]),
    }
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": [] if takes else [CAMERA],
        "responses": REFUSED | refused | ({"201": done} if new else {}),
    }
    if method == "delete":
        operation["responses"]["204"] = {"description": "It is as configured again, or not known any more."}
    else:
        operation["responses"]["200"] = done
        body = schema[takes] if takes else {"type": "object", "maxProperties": 0}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return {method: operation}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
