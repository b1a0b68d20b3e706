"""One look at a source, in the process that it is done in."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Literal

from vision_stream.api_networks import networks
from vision_stream.errors import VisionStreamError
from workers.capture.probe import Seen, Unseen, Wanted
from workers.capture.probe.causes import cause_of
from workers.capture.probe.knock import knock
from workers.capture.sources import Link, open_source
from workers.capture.sources.file import VideoFile
from workers.capture.sources.stream import Stream


def look(wanted: Wanted) -> Seen | Unseen:
    """What FFmpeg says of films and streams, and the first picture of anything else."""
    try:
        link = Link(open_s=wanted.timeout_s, read_s=wanted.timeout_s)
        source = open_source(wanted.source, fps=60, loop=False, link=link, networks=networks(wanted.networks))
        if isinstance(source, Stream):
            return _stream(wanted)
        if isinstance(source, VideoFile):
            return _film(str(Path(source.name)), wanted.timeout_s)
        frame = next(iter(source.frames(threading.Event())))
    except VisionStreamError as error:
        return Unseen(error.what)
    height, width = frame.image.shape[:2]
    return Seen(width, height, None, "pictures")


def _stream(wanted: Wanted) -> Seen | Unseen:
    found = _film(wanted.source, wanted.timeout_s, wanted.transport)
    if isinstance(found, Seen):
        return found
    unreachable = knock(wanted.source, within_s=wanted.timeout_s)
    if unreachable is not None:
        return Unseen(unreachable)
    if wanted.transport == "udp" and isinstance(_film(wanted.source, wanted.timeout_s), Seen):
        # What a firewall or NAT does: the session is agreed upon over TCP, and its pictures never arrive.
        return Unseen("seen over TCP, not over UDP, which a firewall may stop: set rtsp_transport to tcp")
    return found


def _film(place: str, timeout_s: float, transport: Literal["tcp", "udp"] = "tcp") -> Seen | Unseen:
    import av

    started = time.monotonic()
    scheme = place.partition("://")[0].lower()
    options = {"rtsp_transport": transport} if scheme == "rtsp" else {}
    try:
        with av.open(place, options=options, timeout=(timeout_s, timeout_s)) as film:
            if not film.streams.video:
                return Unseen("wrong codec: sound, and no video" if film.streams.audio else "there is no video in it")
            stream = film.streams.video[0]
            picture = next(film.decode(stream), None)
            if picture is None:
                return Unseen("it ended before its first picture")
            rate = stream.average_rate or stream.guessed_rate
            return Seen(picture.width, picture.height, float(rate) if rate else None, stream.codec_context.name)
    except Exception as error:  # PyAV's errors are OSErrors, ValueErrors and others, by the kind of failure
        return Unseen(cause_of(error, waited_s=time.monotonic() - started, timeout_s=timeout_s))
