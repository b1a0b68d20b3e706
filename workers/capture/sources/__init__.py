"""Frame sources: ``open_source`` turns what a user writes into one of them.

video.avi             file       played at its own speed or as fast as wanted, once or looped
pictures/             images     a directory of pictures, in the order of their names
rtsp:// http:// ...   stream     what FFmpeg opens, RTSP over TCP or UDP
guarded:rtsp:// ...   guarded    a stream that the API named: leads nowhere but to where cameras may be
0  /dev/video0        webcam
sim:crossing?seed=3   scene      a simulated traffic scene
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vision_stream.api_networks import Network
from vision_stream.api_sources import GUARDED
from vision_stream.errors import ConfigError
from vision_stream.redaction import redact_url
from workers.capture.sources.base import Frame, FrameSource, Link, SourceError

__all__ = ["Frame", "FrameSource", "Link", "SourceError", "open_here", "open_isolated", "open_source"]

STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "srt", "tcp")
_WEBCAM = re.compile(r"[0-9]+|/dev/video\d+")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def open_source(
    source: str,
    *,
    fps: float,
    loop: bool = True,
    realtime: bool = True,
    link: Link = Link(),
    networks: Sequence[Network] = (),
) -> FrameSource:
    """The source that ``source`` names; nothing is opened before its frames are asked for.

    Args:
        fps: frames a second that are wanted; those between are not yielded.
        loop: files and directories start again at their end, and so never end.
        realtime: files and directories are played at their own speed; else as fast as frames are taken, none left out.
        networks: where a guarded source may lead.

    Raises:
        ConfigError: no such file, or not a source; or it cannot be read over UDP on this system.
    """
    text = source.strip()
    if text.startswith(GUARDED):
        return _guarded(text, fps, link, networks)
    if link.transport == "udp" and text.lower().startswith("rtsp://"):
        return _over_udp(text, fps, link)
    return open_here(text, fps=fps, loop=loop, realtime=realtime, link=link)


def open_here(source: str, *, fps: float, loop: bool = True, realtime: bool = True, link: Link = Link()) -> FrameSource:
    """As ``open_source``, and always decoded by this process, with the transport that its environment says."""
    text = source.strip()
    if text.startswith("sim:"):
        return _scene(text, fps)
    if _WEBCAM.fullmatch(text):
        from workers.capture.sources.webcam import Webcam

        return Webcam(text, fps=fps)
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif _URL.match(text):
        return _stream(text, fps, link)
    return _path(text, fps, loop=loop, realtime=realtime)


def open_isolated(
    source: str, *, fps: float, link: Link = Link(), networks: Sequence[Network] = ()
) -> FrameSource | None:
    """The same source, decoded in a process that can be killed.

    None where there is no driver that could hang, and on Windows, where nobody can wait for a pipe with a limit.
    """
    text = source.strip()
    if sys.platform == "win32":
        return None
    if text.startswith(GUARDED):
        return _guarded(text, fps, link, networks)  # is so always
    if _WEBCAM.fullmatch(text) or (_URL.match(text) and not text.startswith("file://")):
        from workers.capture.sources.isolated import Isolated

        return Isolated(text, fps=fps, link=link)
    return None


def _over_udp(text: str, fps: float, link: Link) -> FrameSource:
    isolated = open_isolated(text, fps=fps, link=link)
    if isolated is None:
        raise ConfigError("rtsp_transport cannot be udp on Windows", remedy="set it to tcp")
    return isolated


def _guarded(text: str, fps: float, link: Link, networks: Sequence[Network]) -> FrameSource:
    from workers.capture.sources.guarded import Guarded

    return Guarded(text, fps=fps, link=link, networks=networks)


def _scene(text: str, fps: float) -> FrameSource:
    from vision_stream.simulators.traffic import parse_scene
    from workers.capture.sources.scene import SimulatedScene

    try:
        return SimulatedScene(text, parse_scene(text), fps=fps)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _stream(url: str, fps: float, link: Link) -> FrameSource:
    from workers.capture.sources.stream import Stream

    scheme = url.partition("://")[0].lower()
    if scheme not in STREAM_SCHEMES:
        raise ConfigError(f"a source cannot be {scheme}://", remedy=f"use one of {', '.join(STREAM_SCHEMES)}")
    return Stream(url, fps=fps, link=link)


def _path(text: str, fps: float, *, loop: bool, realtime: bool) -> FrameSource:
    from workers.capture.sources.file import VideoFile
    from workers.capture.sources.images import ImageDirectory

    path = Path(text).expanduser()
    if text and path.is_dir():
        return ImageDirectory(path, fps=fps, loop=loop, realtime=realtime)
    if path.is_file():
        return VideoFile(path, fps=fps, loop=loop, realtime=realtime)
    raise ConfigError(
        f"source {redact_url(text)!r} is no file, directory, URL, webcam index or scene",
        remedy="check the path, or write rtsp://..., http://..., 0, or sim:crossing",
    )
