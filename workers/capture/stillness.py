"""How long a camera has sent one and the same picture. A real one has noise; one whose encoder froze has none."""

from __future__ import annotations

import hashlib

from workers.capture.sources.base import Picture

STEP = 8  # every 8th pixel of every 8th row: 0.1 ms for 1080 lines, where all take 6


class Stillness:
    """Looks at all of a picture only where a sample of it is as before, which noise makes rare."""

    def __init__(self) -> None:
        self._sample = b""
        self._whole: bytes | None = None  # None: not needed yet
        self._since = 0.0

    def seconds(self, picture: Picture, now: float) -> float:
        """For how long pictures have been the same to the last bit; ``now``: when this one was taken, in seconds
        of a clock that nobody sets."""
        sample = _digest(picture[::STEP, ::STEP])
        whole = _digest(picture) if sample == self._sample else None
        if sample != self._sample or (self._whole is not None and whole != self._whole):
            self._since = now
        self._sample, self._whole = sample, whole
        return now - self._since


def _digest(picture: Picture) -> bytes:
    return hashlib.blake2b(picture.tobytes(), digest_size=16).digest()
