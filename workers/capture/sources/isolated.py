"""A source that is decoded in a process of its own, which can be killed: a thread that hangs in a driver cannot.

It costs the memory of a Python with OpenCV (75 MB resident) and a copy of each picture, so it is for cameras whose
driver has hung before, and for those that need an environment of their own: OpenCV takes RTSP's transport from there.
The child is this module; it ends with its parent.
"""

from __future__ import annotations

import os
import selectors
import struct
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from typing import IO
from urllib.parse import urlsplit

import msgspec
import numpy as np

from vision_stream.confined import connect_only_to
from vision_stream.errors import VisionStreamError
from vision_stream.pictures import BadPicture, check_size
from vision_stream.redaction import redact_url, register_url
from workers.capture.sources.base import Frame, Link, NoFrames, SourceError
from workers.capture.sources.children import Children

MAX_TEXT = 10_000  # bytes of an error
CHECK_S = 0.2  # how often one who waits for a picture looks whether to stop
_HEAD = struct.Struct("=cIIdd")  # kind, height, width (an error: its bytes, 0), captured_at, media_s
_PICTURE, _ERROR, _NO_FRAMES = b"P", b"E", b"N"


class _Wanted(msgspec.Struct, frozen=True):
    source: str  # over standard input, as it may hold a password
    fps: float
    link: Link
    relayed: bool = False


class Isolated:
    live = True
    keep_all = False

    def __init__(
        self,
        source: str,
        *,
        fps: float,
        link: Link = Link(),
        relayed: Mapping[str, str] | None = None,
        children: Children | None = None,
    ) -> None:
        """
        Args:
            children: of the same camera, where each opening makes an Isolated anew.
            relayed: the process's environment where ``source`` is a relay's address (see ``guarded``).
        """
        register_url(source)
        self.name = redact_url(source)
        self._children = children or Children()
        self._wanted = _Wanted(source, fps, link, relayed is not None)
        over_udp = {**os.environ, "OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;udp"}
        self._environment = over_udp if link.transport == "udp" else relayed

    def frames(self, stop: threading.Event) -> Generator[Frame, None, None]:
        """Raises SourceError: as the source itself does, or its process ended."""
        child = self._children.begin("workers.capture.sources.isolated", self._environment)
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(msgspec.json.encode(self._wanted) + b"\n")
            child.stdin.flush()
            yield from self._read(child.stdout, stop)
        except BrokenPipeError:
            raise SourceError(f"{self.name}: the process that decodes it did not start") from None
        finally:
            self._children.end(child)

    def _read(self, pipe: IO[bytes], stop: threading.Event) -> Iterator[Frame]:
        while (head := self._take(pipe, _HEAD.size, stop)) is not None:
            kind, height, width, captured_at, media_s = _HEAD.unpack(head)
            body = self._take(pipe, self._length(kind, height, width), stop)
            if body is None:
                return
            if kind != _PICTURE:
                raise NoFrames(body.decode()) if kind == _NO_FRAMES else SourceError(body.decode())
            yield Frame(np.frombuffer(body, np.uint8).reshape(height, width, 3), captured_at, media_s)

    def _length(self, kind: bytes, height: int, width: int) -> int:
        """Bytes behind a head, which a decoder wrote that somebody may have made to err."""
        if kind != _PICTURE:
            return min(height, MAX_TEXT)
        try:
            check_size(width, height)
        except BadPicture as error:
            raise SourceError(f"{self.name} sends {error.what}, which is not taken") from None
        return height * width * 3

    def _take(self, pipe: IO[bytes], size: int, stop: threading.Event) -> bytearray | None:
        """Exactly ``size`` bytes; None when told to stop."""
        taken, room = 0, bytearray(size)
        with selectors.DefaultSelector() as ready:
            ready.register(pipe, selectors.EVENT_READ)
            while taken < size:
                if stop.is_set():
                    return None
                if not ready.select(CHECK_S):
                    continue
                count = os.readv(pipe.fileno(), [memoryview(room)[taken:]])
                if count == 0:
                    raise SourceError(f"{self.name}: the process that decodes it ended")
                taken += count
        return room


def _serve() -> None:
    """Of the child: pictures to standard output, until the parent is gone."""
    from workers.capture.sources import open_here
    from workers.capture.sources.stream import Stream

    wanted = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Wanted)
    if wanted.relayed:
        connect_only_to(urlsplit(wanted.source).port or 0)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the pictures
    try:
        # Of a relayed one its relay says why: another look would read formats that this process may not.
        relayed = Stream(wanted.source, fps=wanted.fps, link=wanted.link, explains=False) if wanted.relayed else None
        source = relayed or open_here(wanted.source, fps=wanted.fps, link=wanted.link)
        for frame in source.frames(threading.Event()):
            height, width = frame.image.shape[:2]
            answer.write(_HEAD.pack(_PICTURE, height, width, frame.captured_at, frame.media_s))
            answer.write(np.ascontiguousarray(frame.image).data)
            answer.flush()
    except VisionStreamError as error:
        text = error.what.encode()
        kind = _NO_FRAMES if isinstance(error, NoFrames) else _ERROR
        answer.write(_HEAD.pack(kind, len(text), 0, 0.0, 0.0) + text)
        answer.flush()


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
