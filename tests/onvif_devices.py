"""ONVIF cameras for tests: ipycam's responder, by other people, and a simulator for what that one does not do."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from types import SimpleNamespace

from aiohttp import web

from workers.onvif.soap import digest

USER, PASSWORD = "viewer", "canary-camera-password"
HOST = "127.0.0.1"


@contextmanager
def a_camera(*, name: str = "Gate", multicast: bool = False, **settings: object) -> Iterator[str]:
    """ipycam's ONVIF service, with its WS-Discovery on loopback where ``multicast``; gives HOST:PORT."""
    from ipycam.config import CameraConfig
    from ipycam.discovery import WSDiscoveryServer
    from ipycam.http import IPCameraHTTPHandler
    from ipycam.onvif import ONVIFService

    config = CameraConfig(name=name, local_ip=HOST, **settings)  # type: ignore[arg-type]
    service = ONVIFService(config)
    handler = type("Handler", (IPCameraHTTPHandler,), {"camera": SimpleNamespace(config=config, onvif=service)})
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        config.onvif_port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        discovery = WSDiscoveryServer(service) if multicast else None
        if discovery is not None:
            discovery.start()
        try:
            yield f"{HOST}:{server.server_port}"
        finally:
            if discovery is not None:
                discovery.stop()
                discovery.join(5)
            server.shutdown()


MEDIA2_PROFILE = """<m:GetProfilesResponse><m:Profiles token="p1" fixed="true"><m:Name>{name}</m:Name><m:Configurations>
<m:VideoEncoder token="v"><t:Name>enc</t:Name><t:Encoding>H265</t:Encoding><t:Resolution><t:Width>3840</t:Width>
<t:Height>2160</t:Height></t:Resolution><t:RateControl><t:FrameRateLimit>25</t:FrameRateLimit></t:RateControl>
</m:VideoEncoder></m:Configurations></m:Profiles></m:GetProfilesResponse>"""
SERVICES = """<d:GetServicesResponse><d:Service><d:Namespace>http://www.onvif.org/ver20/media/wsdl</d:Namespace>
<d:XAddr>{media}</d:XAddr></d:Service></d:GetServicesResponse>"""
CLOCK = """<d:GetSystemDateAndTimeResponse><d:SystemDateAndTime><t:UTCDateTime>
<t:Time><t:Hour>{0.hour}</t:Hour><t:Minute>{0.minute}</t:Minute><t:Second>{0.second}</t:Second></t:Time>
<t:Date><t:Year>{0.year}</t:Year><t:Month>{0.month}</t:Month><t:Day>{0.day}</t:Day></t:Date>
</t:UTCDateTime></d:SystemDateAndTime></d:GetSystemDateAndTimeResponse>"""
ENVELOPE = """<?xml version="1.0"?>{doctype}<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"
xmlns:d="http://www.onvif.org/ver10/device/wsdl" xmlns:m="http://www.onvif.org/ver20/media/wsdl"
xmlns:t="http://www.onvif.org/ver10/schema"><e:Body>{body}</e:Body></e:Envelope>"""
NOT_AUTHORISED = """<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode>
<e:Value>ter:NotAuthorized</e:Value></e:Subcode></e:Code>
<e:Reason><e:Text>Sender not Authorized</e:Text></e:Reason></e:Fault>"""


@dataclass
class Simulator:
    """An ONVIF camera of Media2 with one H.265 profile, in which everything can be made to be wrong."""

    stream: str = f"rtsp://{HOST}:554/main"
    media: str = f"http://{HOST}/onvif/media2"  # the port is put in
    name: str = "Main"
    model: str = "S-1"
    account: tuple[str, str] | None = None
    clock_ahead: timedelta = timedelta()
    clock: datetime | None = None  # stands still at
    doctype: str = ""
    instead: bytes | None = None  # of any answer
    moved_to: str | None = None
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        message = await request.text()
        self.asked.append(message)
        if self.moved_to is not None:
            return web.Response(status=307, headers={"Location": self.moved_to})
        if self.instead is not None:
            return web.Response(body=self.instead)
        if "GetSystemDateAndTime" in message:
            return self._said(CLOCK.format(self.clock or datetime.now(UTC) + self.clock_ahead))
        if self.account is not None and not self._proven(message):
            return self._said(NOT_AUTHORISED, status=400)
        return self._said(self._body(message, request))

    def _said(self, body: str, *, status: int = 200) -> web.Response:
        whole = ENVELOPE.format(doctype=self.doctype, body=body)
        return web.Response(text=whole, status=status, content_type="application/soap+xml")

    def _body(self, message: str, request: web.Request) -> str:
        if "GetDeviceInformation" in message:
            return f"<d:R><d:Manufacturer>ACME</d:Manufacturer><d:Model>{self.model}</d:Model></d:R>"
        if "GetServices" in message:
            return SERVICES.format(media=self.media.replace(f"{HOST}/", f"{request.host}/"))
        if "GetProfiles" in message:
            return MEDIA2_PROFILE.format(name=self.name)
        return f"<m:GetStreamUriResponse><m:Uri>{self.stream}</m:Uri></m:GetStreamUriResponse>"

    def _proven(self, message: str) -> bool:
        """As a device does: the digest over its own nonce and time, and the time near its clock."""
        import base64
        import re

        assert self.account is not None
        user, password = self.account
        parts = {
            name: found[1]
            for name in ("Username", "Password", "Nonce", "Created")
            if (found := re.search(rf"<\w:{name}\b[^>]*>([^<]*)<", message))
        }
        if len(parts) != 4 or parts["Username"] != user:
            return False
        created = datetime.fromisoformat(parts["Created"])
        if abs(created - datetime.now(UTC) - self.clock_ahead) > timedelta(seconds=30):
            return False
        return parts["Password"] == digest(password, base64.b64decode(parts["Nonce"]), parts["Created"])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """HOST:PORT while the block runs."""
        app = web.Application()
        app.router.add_post("/{tail:.*}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, 0)
            await site.start()
            yield f"{HOST}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
