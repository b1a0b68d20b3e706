"""A gateway whose configuration is invalid: it answers, says what is wrong, and goes on as soon as it is corrected.

What is wrong can tell a stranger about the site, so it is shown on loopback alone; others are sent to the log. Nothing
else is served: there is no token yet to ask for.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import ipaddress
import os
import signal
from collections.abc import Callable, Mapping

import structlog
from aiohttp import web

from vision_stream.errors import ConfigError
from vision_stream.redaction import mask
from vision_stream.settings import Settings

LOOK_EVERY_S = 2.0
HOST, PORT = "127.0.0.1", 8000  # the defaults of gateway.host and gateway.port
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<title>Vision Stream: safe mode</title><body style="font: 16px/1.5 sans-serif; max-width: 60em; margin: 3em auto">
<h1>Safe mode · 安全模式</h1>
<p>The configuration is invalid, so nothing is shown yet. Correct it: this page goes on by itself.</p>
<p lang="zh">配置有误，暂不显示任何内容。改正后本页会自动恢复。</p><pre style="white-space: pre-wrap">{said}</pre>"""

_log = structlog.get_logger(__name__)


def address(host: str | None, port: int | None, environ: Mapping[str, str] = os.environ) -> tuple[str, int]:
    """Where to serve: as on the command line, else as in the environment where that can be read, else the defaults."""
    told = environ.get("ALGO_GATEWAY_PORT", "")
    from_environ = int(told) if told.isdecimal() and int(told) < 65536 else PORT
    return host or environ.get("ALGO_GATEWAY_HOST") or HOST, from_environ if port is None else port


async def until_valid(error: ConfigError, reload: Callable[[], Settings], *, host: str, port: int) -> Settings | None:
    """Serve the problem until ``reload`` gives settings; None where SIGTERM came first.

    Raises:
        ConfigError: ``error``, where the address cannot be had.
    """
    page = _Page(error, on_loopback=_is_loopback(host))
    app = web.Application()
    app.add_routes([web.get("/healthz", _alive), web.get("/{rest:.*}", page.answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            raise error from None
        _log.error("configuration is invalid: safe mode", address=runner.addresses[0], why=str(error))
        return await _corrected(page, reload)
    finally:
        await runner.cleanup()


class _Page:
    def __init__(self, error: ConfigError, *, on_loopback: bool) -> None:
        self.error = error
        self._on_loopback = on_loopback

    async def answer(self, request: web.Request) -> web.Response:
        said = mask(str(self.error)) if self._on_loopback else "vision-stream check-config"
        return web.Response(text=PAGE.format(said=html.escape(said)), content_type="text/html", status=503)


async def _alive(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})  # a restart would cure nothing


async def _corrected(page: _Page, reload: Callable[[], Settings]) -> Settings | None:
    told = asyncio.Event()
    with contextlib.suppress(NotImplementedError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    while not told.is_set():
        try:
            settings = await asyncio.to_thread(reload)
        except ConfigError as error:
            if str(error) != str(page.error):
                _log.error("configuration is still invalid", why=str(error))
            page.error = error
        else:
            _log.info("configuration is valid: safe mode ends")
            return settings
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), LOOK_EVERY_S)
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
