"""What a frame source is. Each kind has a module of its own; ``open_source`` picks one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from numpy.typing import NDArray

from vision_stream.errors import VisionStreamError

Picture = NDArray[Any]  # uint8, shape (height, width, 3), BGR


class SourceError(VisionStreamError):
    """A source could not be opened, or broke off. Holds no credentials."""


class NoFrames(SourceError):
    """It is open, and sends no picture."""


@dataclass(frozen=True)
class Link:
    """How a stream is reached, and for how long its driver is waited for."""

    transport: Literal["tcp", "udp"] = "tcp"  # of the pictures of RTSP
    # FFmpeg looks at up to 5 s of a stream before it calls it open. Shorter: a camera of one frame a second never is.
    open_s: float = 10.0
    # Shorter: one whose key frames are further apart is open, and never seen.
    read_s: float = 10.0


@dataclass(frozen=True)
class Frame:
    image: Picture
    captured_at: float  # seconds since the epoch
    media_s: float  # on the source's own clock, so that a film played faster than life still has true speeds


class FrameSource(Protocol):
    """Where frames come from. ``name`` is for people and holds no credentials."""

    name: str
    live: bool  # does not end by itself: when it breaks off, it is opened again
    keep_all: bool  # its reader waits for each frame to be taken, instead of passing it over for a newer one

    def frames(self, stop: threading.Event) -> Iterator[Frame]:
        """Open the source and yield its frames until it ends or ``stop`` is set; releases it in the end.

        Raises:
            SourceError: it could not be opened, broke off or holds no picture.
        """
        ...
