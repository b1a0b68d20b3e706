"""Who may come in: a token where one is set, else only this machine; and no page of another origin opens the socket.

Without a token the gateway listens on loopback only, and answers only to a loopback name: a page of a foreign host
whose name was made to resolve to 127.0.0.1 (DNS rebinding) gets nothing. The cookie of the login box holds a keyed
hash of the token, not the token.
"""

from __future__ import annotations

import hashlib
import hmac
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

from vision_stream.errors import ConfigError
from vision_stream.settings import GatewaySettings

COOKIE = "vision_stream_session"
COOKIE_MAX_AGE_S = 30 * 24 * 3600
MAX_TOKEN_CHARS = 4096
LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, without a port) is this machine and nobody else."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") in LOOPBACK_NAMES


def check_exposure(settings: GatewaySettings) -> None:
    """
    Raises:
        ConfigError: others could reach the gateway, and no token is set.
    """
    if settings.token is not None and not settings.token.get_secret_value():
        raise ConfigError("gateway.token is empty", remedy="give it a long random value, or leave it out")
    if settings.token is None and not is_loopback(settings.host):
        raise ConfigError(
            f"gateway.host is {settings.host!r}, which others can reach, and gateway.token is not set",
            remedy="set ALGO_GATEWAY_TOKEN to a long random value, or listen on 127.0.0.1",
            error_id="VS-501",
        )


class Access:
    def __init__(self, settings: GatewaySettings) -> None:
        self._token = settings.token.get_secret_value().encode() if settings.token is not None else None
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins)
        self._allowed_hosts = frozenset(urlsplit(origin).netloc.lower() for origin in settings.allowed_origins)

    @property
    def needs_token(self) -> bool:
        return self._token is not None

    def is_token(self, offered: str) -> bool:
        """Compared in constant time; an absurdly long one is not looked at."""
        if self._token is None or len(offered) > MAX_TOKEN_CHARS:
            return False
        return hmac.compare_digest(offered.encode("utf-8", "replace"), self._token)

    def admits(self, request: web.BaseRequest) -> bool:
        """By ``Authorization: Bearer``, ``?token=`` or the cookie of the login box."""
        if self._token is None:
            return True
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(bearer.strip()):
            return True
        if self.is_token(request.query.get("token", "")):
            return True
        cookie = request.cookies.get(COOKIE, "")
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self._cookie().encode())

    def remember(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Set the cookie that stands for the token; scripts cannot read it, and no other site's request carries it."""
        response.set_cookie(
            COOKIE,
            self._cookie(),
            max_age=COOKIE_MAX_AGE_S,
            httponly=True,
            samesite="Strict",
            secure=request.secure or request.headers.get("X-Forwarded-Proto") == "https",
        )

    def forget(self, response: web.StreamResponse) -> None:
        response.del_cookie(COOKIE)

    def _cookie(self) -> str:
        assert self._token is not None
        return hmac.new(self._token, b"vision-stream dashboard session", hashlib.sha256).hexdigest()

    def knows_host(self, request: web.BaseRequest) -> bool:
        """Without a token the name that the browser used must be a loopback one, or an allowed origin's."""
        if self._token is not None or request.host.lower() in self._allowed_hosts:
            return True
        try:
            return is_loopback(urlsplit(f"//{request.host}").hostname or "")
        except ValueError:
            return False

    def allows_origin(self, request: web.BaseRequest) -> bool:
        """A browser says which page asks; programs say nothing. The gateway's own pages, and those that are listed."""
        origin = request.headers.get("Origin")
        if origin is None or origin.lower() in self._allowed_origins:
            return True
        try:
            return urlsplit(origin).netloc.lower() == request.host.lower()
        except ValueError:
            return False
