"""What a camera behind a relay may answer: pictures, and nothing that sends FFmpeg elsewhere."""

from __future__ import annotations

import re

REDIRECTS = "it redirects to elsewhere, which is not followed"
PLAYLISTS = ("mpegurl", "dash+xml", "application/sdp", "ffconcat", "x-ms-asf", "x-ms-wax", "x-ms-wvx", "smil")

_HTTP_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?!\d)")
_RTSP_STATUS = re.compile(rb"RTSP/\d\.\d ([45]\d\d)(?!\d)")
# As leniently as FFmpeg reads it: it leaves out every \r, takes 4096 bytes of a line, and the status is atoi's, which
# keeps 32 bits: 4294967598 is 302. So no number passes that could wrap, and no camera sends one.
_RTSP_REDIRECT = re.compile(rb"RTSP/[^ \t\n]{0,4096}[ \t][ \t\v\f]{0,4096}(?:\+?0{0,4096}3\d\d|\+?\d{10}|-\d)")
_LINE = 4096 + len("RTSP/")
MOST_HEADS = 32  # in one chunk. More are no camera's, and cost time to look through


class Cut(Exception):
    """The connection was not made, or ended; says why in words, without credentials."""


class RedirectFinder:
    """Finds an RTSP redirect in a stream, wherever it was cut into pieces."""

    def __init__(self) -> None:
        self._tail = b""

    def found(self, chunk: bytes) -> bool:
        """Whether one ends within ``chunk``, or might: it holds more heads than a camera sends."""
        seen = self._tail + chunk.replace(b"\r", b"")
        self._tail = seen[-_LINE:]
        return seen.count(b"RTSP/") > MOST_HEADS or _RTSP_REDIRECT.search(seen) is not None


def check_http_head(head: bytes) -> None:
    """Raises Cut: what follows is no picture, or may lead elsewhere."""
    match = _HTTP_STATUS.match(head)
    status = int(match[1]) if match else 0
    if 300 <= status < 400:
        raise Cut(REDIRECTS)
    if status not in (200, 206):
        raise Cut(_refused(status) if match else "it does not answer in HTTP/1")
    kinds = [line for line in head.lower().split(b"\n") if line.startswith(b"content-type")]
    if any(word.encode() in kind for word in PLAYLISTS for kind in kinds):
        raise Cut("it sends a playlist, which may lead elsewhere, and no video")


def rtsp_refusal(chunk: bytes) -> str | None:
    """Why a request was refused, where ``chunk`` begins with such an answer."""
    match = _RTSP_STATUS.match(chunk)
    return _refused(int(match[1])) if match else None


def _refused(status: int) -> str:
    if status == 401:
        return "401: it wants a user and a password: write it into config/cameras.yaml, and start it by its id"
    return f"it answers with {status}"
