"""A stream that somebody named over the API: whatever the other side sends, nothing else is reached.

Who names a source may not be who may reach this machine's neighbours, and what a source sends may be made for that. So
FFmpeg gets the address of a relay that checks (see ``relay``), runs in a process of its own, and there it may speak
these protocols and read these formats only: no playlist, no script of other addresses, no file.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import structlog

from vision_stream.api_networks import NEVER, Network, Resolve, system_resolver
from vision_stream.api_sources import GUARDED, stream_target
from vision_stream.confined import CONFINING, can_confine
from vision_stream.errors import ConfigError
from vision_stream.redaction import redact_url
from workers.capture.sources.base import Frame, Link, SourceError
from workers.capture.sources.children import Children
from workers.capture.sources.isolated import Isolated
from workers.capture.sources.relay import Relay, relaying

FORMATS = ("rtsp", "mpjpeg", "mjpeg", "jpeg_pipe", "mpegts", "mov", "matroska", "flv", "avi", "mpeg", "h264", "hevc")
FFMPEG_OPTIONS = "|".join(
    f"{name};{value}"
    for name, value in (
        ("rtsp_transport", "tcp"),  # over UDP a camera names the host that is to send and receive
        ("protocol_whitelist", "rtsp,http,tcp"),
        ("format_whitelist", ",".join(FORMATS)),
    )
)

_log = structlog.get_logger(__name__)


class Guarded:
    live = True
    keep_all = False

    def __init__(
        self,
        source: str,
        *,
        fps: float,
        networks: Sequence[Network],
        link: Link = Link(),
        never: Sequence[Network] = NEVER,
        resolve: Resolve = system_resolver,
    ) -> None:
        """
        Args:
            source: begins with ``guarded:``.
            networks, never: where it may lead, and where not, whatever ``networks`` says.
            link: how long it is waited for.
        Raises:
            ConfigError: it is no source that the API may name.
        """
        if sys.platform == "win32":
            raise ConfigError("cameras cannot be added over the API on Windows", remedy="use config/cameras.yaml")
        _tell_where_unconfined()
        target = stream_target(source.removeprefix(GUARDED))
        self.name = redact_url(target.url)
        self.relay = Relay(target, networks, never=never, resolve=resolve)
        self._children = Children()
        self._fps = fps
        self._link = replace(link, transport="tcp")

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Raises SourceError: it may not be reached, cannot be opened, or broke off; NoFrames: as its decoder."""
        with relaying(self.relay):
            decoder = Isolated(
                self.relay.url, fps=self._fps, link=self._link, relayed=_environment(), children=self._children
            )
            try:
                for frame in decoder.frames(stop):
                    self.relay.trouble = None  # a request that is refused while pictures come is none
                    yield frame
            except SourceError as error:
                trouble = self.relay.trouble
                what = f"{self.name}: {trouble}" if trouble else error.what.replace(self.relay.url, self.name)
                raise type(error)(what) from None


@cache  # once in a process
def _tell_where_unconfined() -> None:
    if not can_confine():
        _log.warning(
            "decoders of cameras that came over the API are not confined: this system has no Landlock for TCP; their "
            "relay alone keeps them from other hosts",
            remedy=CONFINING,
        )


def _environment() -> dict[str, str]:
    """Ours, without a proxy, which FFmpeg would go to."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"OPENCV_FFMPEG_CAPTURE_OPTIONS": FFMPEG_OPTIONS}
