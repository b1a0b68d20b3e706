"""``/``: the dashboard's page, and its login box's two calls."""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web

from workers.gateway import keys
from workers.gateway.health import NO_STORE
from workers.gateway.rest import problem

PAGE = Path(__file__).parent / "static" / "index.html"
ICON = Path(__file__).parent / "static" / "icon.svg"


class Login(msgspec.Struct, frozen=True):
    token: str


def routes() -> list[web.RouteDef]:
    return [
        web.get("/", page),
        web.get("/favicon.ico", icon),
        web.post("/login", login),
        web.post("/logout", logout),
    ]


async def page(request: web.Request) -> web.StreamResponse:
    """The page; an address with the right ``?token=`` sets the cookie and leaves the token out of the address bar."""
    access = request.app[keys.ACCESS]
    if access.needs_token and access.is_token(request.query.get("token", "")):
        response = web.Response(status=303, headers={"Location": "/", **NO_STORE})
        access.remember(request, response)
        return response
    return web.FileResponse(PAGE, headers={"Cache-Control": "no-cache"})


async def icon(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(ICON)


async def login(request: web.Request) -> web.Response:
    access = request.app[keys.ACCESS]
    if not access.allows_origin(request):
        return problem(403, "bad_origin", "log in from the gateway's own page")
    try:
        offered = msgspec.json.decode(await request.read(), type=Login)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return problem(400, "bad_request", 'expected {"token": "..."}')
    if access.needs_token and not access.is_token(offered.token):
        return problem(401, "wrong_token", "this is not the token")
    response = web.Response(status=204, headers=NO_STORE)
    if access.needs_token:
        access.remember(request, response)
    return response


async def logout(request: web.Request) -> web.Response:
    access = request.app[keys.ACCESS]
    if not access.allows_origin(request):
        return problem(403, "bad_origin", "log out from the gateway's own page")
    response = web.Response(status=204, headers=NO_STORE)
    access.forget(response)
    return response
