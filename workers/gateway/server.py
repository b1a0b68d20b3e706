"""The pages put together: who may ask for what, what every answer carries, and the listening socket."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakSet

import structlog
from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from vision_stream.errors import ConfigError
from vision_stream.settings import Settings
from vision_stream.stores.open import Stores
from workers.gateway import control, dashboard, health, keys, rest, websocket
from workers.gateway.access import Access, check_exposure
from workers.gateway.desk import Desk
from workers.gateway.health import Readiness
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster
from workers.gateway.tls import tls

STATIC = Path(__file__).parent / "static"
MAX_BODY_BYTES = 64 * 1024
SHUTDOWN_S = 3.0  # for requests that still run
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # an address with ?token= in it goes nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
# The page's code holds no data, and must load for the login box to be seen; probes carry no token.
OPEN_PATHS = frozenset({"/", "/login", "/logout", "/healthz", "/readyz", "/favicon.ico"})
OPEN_PREFIX = "/static/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = structlog.get_logger(__name__)


def build(
    settings: Settings,
    hub: Hub,
    stores: Stores,
    *,
    roster: Roster | None = None,
    desk: Desk | None = None,
    readiness: Readiness | None = None,
    behind_s: float = websocket.BEHIND_S,
) -> web.Application:
    """The gateway's application.

    Args:
        roster: the cameras as they change; None: those of ``settings``, for good.
        desk: starts and stops cameras; None: nobody may.
    Raises:
        ConfigError: others could reach it, and no token is set.
    """
    check_exposure(settings.gateway)
    app = web.Application(middlewares=[_known_host, _token], client_max_size=MAX_BODY_BYTES)
    app[keys.SETTINGS] = settings
    app[keys.HUB] = hub
    app[keys.ROSTER] = roster if roster is not None else Roster(settings.cameras.cameras, hub)
    if desk is not None:
        app[keys.DESK] = desk
    app[keys.STORES] = stores
    app[keys.ACCESS] = Access(settings.gateway)
    app[keys.READINESS] = readiness if readiness is not None else Readiness()
    app[keys.SOCKETS] = WeakSet()
    app[keys.BEHIND_S] = behind_s
    if stores.redis is not None:
        link = stores.redis
        app[keys.READINESS].watch("redis", lambda: None if link.up else "Redis is away; live pictures wait for it")
    app.add_routes(
        [
            *dashboard.routes(),
            *health.routes(app[keys.READINESS]),
            *rest.routes(),
            *control.routes(),
            web.get("/ws", websocket.handle),
            web.static(OPEN_PREFIX, STATIC),
        ]
    )
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(websocket.close_all)
    return app


@web.middleware
async def _known_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.app[keys.ACCESS].knows_host(request):
        raise web.HTTPForbidden(text="host not known: add its origin to gateway.allowed_origins, or set gateway.token")
    return await handler(request)


@web.middleware
async def _token(request: web.Request, handler: Handler) -> web.StreamResponse:
    is_open = request.path in OPEN_PATHS or request.path.startswith(OPEN_PREFIX)
    if not is_open and not request.app[keys.ACCESS].admits(request):
        raise web.HTTPUnauthorized(text="a token is needed", headers={"WWW-Authenticate": "Bearer"})
    return await handler(request)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.path.startswith(OPEN_PREFIX):
        response.headers.setdefault("Cache-Control", "no-cache")  # revalidated by its time, so that an update shows
    response.headers["Server"] = "vision-stream"


class AccessLog(AbstractAccessLogger):
    """One line a request that failed (others at debug), without its query: that may hold the token."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        say = _log.info if response.status >= 400 and response.status != 404 else _log.debug
        say(
            "request",
            method=request.method,
            path=request.rel_url.raw_path,
            status=response.status,
            seconds=round(time, 4),
            remote=request.remote,
        )


class _WithoutRequestText(logging.Filter):
    """aiohttp quotes a request that it could not parse; that may hold a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return True


def _http_logger() -> logging.Logger:
    logger = logging.getLogger("vision_stream.gateway.http")
    if not logger.filters:
        logger.addFilter(_WithoutRequestText())
    return logger


@dataclass(frozen=True)
class Serving:
    host: str
    port: int
    encrypted: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.encrypted else 'http'}://{host}:{self.port}"


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[Serving]:
    """Listen as ``settings.gateway`` says until the block ends; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be listened on, or the certificate not used.
    """
    where = app[keys.SETTINGS].gateway
    runner = web.AppRunner(
        app,
        access_log_class=AccessLog,
        logger=_http_logger(),
        shutdown_timeout=SHUTDOWN_S,
        handle_signals=False,
    )
    await runner.setup()
    try:
        async with tls(where) as context:
            try:
                await web.TCPSite(runner, where.host, where.port, ssl_context=context).start()
            except OSError as error:
                raise ConfigError(
                    f"the gateway cannot listen on {where.host}:{where.port}: {error.strerror or error}",
                    remedy="end what uses the port, or choose another with --port or ALGO_GATEWAY_PORT",
                    error_id="VS-502",
                ) from error
            port = runner.addresses[0][1]
            yield Serving(where.host, port, encrypted=context is not None)
    finally:
        await runner.cleanup()
