"""Why a stream cannot be seen, in words that say what to look at; nothing of an error's own text, which quotes URLs."""

from __future__ import annotations

import errno

import av.error

from workers.capture.probe.knock import REFUSED

_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (av.error.HTTPUnauthorizedError, "401: user or password is wrong or missing"),
    (av.error.HTTPForbiddenError, "403: this user may not see it"),
    (av.error.HTTPNotFoundError, "404: there is no such stream; check the path"),
    (av.error.HTTPClientError, "it refuses the request (HTTP 4xx)"),
    (av.error.HTTPServerError, "it fails by itself (HTTP 5xx)"),
    (ConnectionRefusedError, REFUSED),
    (ConnectionResetError, "it closed the connection"),
    (BrokenPipeError, "it closed the connection"),
    (av.error.DecoderNotFoundError, "wrong codec: FFmpeg cannot decode it here"),
    (av.error.ProtocolNotFoundError, "FFmpeg here does not know this protocol"),
    (av.error.InvalidDataError, "wrong codec, or no video: FFmpeg cannot read what it sends"),
    (EOFError, "it ended before its first picture"),
    (FileNotFoundError, "there is no such file"),
    (PermissionError, "the file may not be read"),
)
_SILENT = {errno.ETIMEDOUT, errno.EAGAIN}


def cause_of(error: Exception, *, waited_s: float, timeout_s: float) -> str:
    """The words for an error of PyAV's. FFmpeg's RTSP calls a silence invalid data, so the time decides."""
    number = getattr(error, "errno", None)
    silent = isinstance(error, (TimeoutError, av.error.ExitError)) or number in _SILENT
    if silent or (isinstance(error, av.error.InvalidDataError) and waited_s >= timeout_s):
        return f"no frames within {timeout_s:g} s: it takes the connection, and sends no picture"
    if number == errno.EIO:
        return "it sends no video, or breaks off (input/output error)"
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return f"FFmpeg cannot open it ({type(error).__name__})"
