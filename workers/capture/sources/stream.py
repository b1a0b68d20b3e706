"""A camera behind a URL: RTSP (over TCP or UDP), HTTP, or whatever else FFmpeg opens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import cv2

from vision_stream.pictures import BadPicture, check_size
from vision_stream.redaction import redact_url, register_url
from workers.capture.pacing import Pace, wait_until
from workers.capture.probe import Unseen, probe
from workers.capture.probe.knock import knock
from workers.capture.sources.base import Frame, Link, NoFrames, SourceError
from workers.capture.sources.file import own_fps

# OpenCV reads the first at each opening, so it cannot differ between the threads of a process: a camera over UDP is
# decoded in one of its own (see ``open_source``). FFmpeg's own lines go past our logs and may quote an address with its
# password.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
CAUSE_WITHIN_S = 3.0  # with ``Link.open_s`` and ``read_s`` below a feed's limit for the first frame
CAUSE_HOLDS_S = 120.0  # a look costs 0.4 s of a core. Shorter: 50 cameras that refuse us eat what the others need
UNREADABLE = "FFmpeg cannot read what it sends"
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Stream:
    live = True
    keep_all = False

    def __init__(
        self,
        url: str,
        *,
        fps: float,
        link: Link = Link(),
        explains: bool = True,
    ) -> None:
        """
        Args:
            explains: look another time at a stream that could not be opened, to say why.
        """
        register_url(url)
        self.name = redact_url(url)
        self._url = url
        self._fps = fps
        self._link = link
        self._cause: str | None = None
        self._explains = explains
        self._cause_at = 0.0

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """
        Raises:
            SourceError: it cannot be opened, ended, or sends too large pictures.
            NoFrames: it sent no picture for ``Link.read_s``.
        """
        capture = self._open()
        try:
            if not capture.isOpened():
                raise SourceError(f"{self.name} could not be opened: {self._why() if self._explains else UNREADABLE}")
            self._cause = None
            self._check_size(capture)
            yield from self._read(capture, stop)
        finally:
            capture.release()

    def _read(self, capture: cv2.VideoCapture, stop: threading.Event) -> Iterator[Frame]:
        pace, started = Pace(self._fps), time.monotonic()
        recorded_fps = own_fps(capture) if capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0 else None
        index = -1
        while not stop.is_set():
            asked = time.monotonic()
            if not capture.grab():
                raise self._broken(time.monotonic() - asked, seen=index >= 0)
            index += 1
            if recorded_fps is not None:  # a recording behind a URL comes as fast as the network; play it as it was
                wait_until(started + index / recorded_fps, stop)
            now = time.monotonic()
            if pace.due(now):
                found, image = capture.retrieve()
                if found:
                    yield Frame(image, time.time(), now)

    def _check_size(self, capture: cv2.VideoCapture) -> None:
        """Once, as OpenCV stays with the size that it opened. It passes FFmpeg's own ``max_pixels`` to no decoder."""
        width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        try:
            if width and height:  # else not known yet
                check_size(width, height)
        except BadPicture as error:
            raise SourceError(f"{self.name} sends {error.what}, which is not decoded") from None

    def _broken(self, waited_s: float, *, seen: bool) -> SourceError:
        """OpenCV says only that there is no frame, so the time decides."""
        if waited_s < self._link.read_s:
            return SourceError(f"{self.name} ended, or closed the connection")
        silence = f"{self.name}: no frames for {self._link.read_s:g} s"
        if self._link.transport == "udp" and not seen:
            return NoFrames(f"{silence}: {self._why()}")
        return NoFrames(silence)

    def _why(self) -> str:
        """OpenCV says only that it failed. Another look is kept for a while, as it costs a process."""
        within_s = min(CAUSE_WITHIN_S, self._link.open_s)
        unreachable = knock(self._url, within_s=within_s)
        if unreachable is not None:
            self._cause = None
            return unreachable
        now = time.monotonic()
        if self._cause is None or now - self._cause_at > CAUSE_HOLDS_S:
            found = probe(self._url, timeout_s=within_s, transport=self._link.transport)
            self._cause = found.cause if isinstance(found, Unseen) else "another look finds it"
            self._cause_at = now
        return self._cause

    def _open(self) -> cv2.VideoCapture:
        # Without CAP_FFMPEG *and* both timeouts OpenCV waits 30 s, whatever is set later.
        options = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(self._link.open_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(self._link.read_s * 1000)),
            # As many as cores unless told, and each holds back a frame: at 16 cores and 25 frames a second 0.6 s.
            *(cv2.CAP_PROP_N_THREADS, 1),
        ]
        return cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, options)
