"""The limits of a key for which none are configured, learned from its refusals.

What the endpoint says of itself in its headers is believed (``told_limits``). Where it says nothing, calls begin few
and evenly spaced, and are a quarter more each second. A 429 means that the provider's window was full, and what we
had sent in it is its limit: that of a second where it says to come back within that, else that of a minute. A limit
that is refused again shrinks; one that was full and unrefused for a while grows by a step, because limits are raised
too. What was learned is kept in a file, so that a restart begins with it. Processes that share a key each learn their
part.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from vision_stream.llm.limits import JITTER_S, MINUTE_S, KeyLimits, SlidingWindow, Slots, Window, widened

if TYPE_CHECKING:
    from vision_stream.llm.pool import PooledKey
    from vision_stream.llm.told_limits import ToldLimit

START = 8  # calls in the first second. More: more 429s at first. Fewer: a free endpoint is found out later.
FASTER = 1.25  # x the calls of the second before. More: more are out when the first is refused, and are refused too.
SLICES = 64  # of a second at most: one call in each, so that few are out before the first refusal is heard
MOST = 4096  # calls a second: beyond, nothing is limited
SHRINK = 0.95  # of a limit is left that was refused although it held
GROW = 1.02  # of it is tried
GROW_AFTER_S = 30.0  # without a refusal. Sooner: more 429s. Later: a raised limit is found out later.
SOON_S = 1.5  # a wait up to this is of a window of a second


class Learned(Struct, frozen=True):
    """Calls a second and a minute; None: not known to be limited."""

    second: int | None = None
    minute: int | None = None


class _Reserved:
    """Slots of the windows that were there when it was reserved; others may have taken their place since."""

    __slots__ = ("sent", "slots", "windows")

    def __init__(self, slots: Slots, windows: tuple[Window, ...]) -> None:
        self.slots, self.windows, self.sent = slots, windows, False


class LearnedLimits(KeyLimits):
    __slots__ = (
        "_file",
        "_first",
        "_full",
        "_grown_at",
        "_jitter_s",
        "_learned",
        "_looked_at",
        "_sent",
        "_start",
        "_told",
        "refused_at",
    )

    def __init__(self, file: Path | None = None, *, jitter_s: float = JITTER_S) -> None:
        super().__init__(())
        self._file, self._jitter_s = file, jitter_s
        self._sent: deque[float] = deque(maxlen=60 * MOST)
        self._learned = _read(file)
        self._start: int | None = None if self._learned.second or self._learned.minute else START
        self._looked_at, self.refused_at, self._full = -math.inf, -math.inf, False
        self._first, self._grown_at = False, -math.inf
        self._told: ToldLimit | None = None
        self._rebuild()

    def like(self, other: KeyLimits) -> bool:
        return isinstance(other, LearnedLimits)  # what one knows the other would have to learn again

    def reserve(self, now: float, tokens: int = 0) -> Slots | None:
        self._look(now)
        reserved = _Reserved(super().reserve(now, tokens) or (), self.windows)
        self._full = self._full or self.free_at() > now
        return (reserved,)

    def stamp(self, slots: Slots, now: float) -> None:
        for reserved in slots:
            if not reserved.sent:
                reserved.sent = True
                self._sent.append(now)
                for window, slot in zip(reserved.windows, reserved.slots, strict=True):
                    window.stamp(slot, now)

    def correct(self, slots: Slots, tokens: int) -> None:
        """It counts calls."""

    def refused(self, now: float, wait_s: float | None) -> None:
        soon = wait_s is None or wait_s <= SOON_S
        if now - self.refused_at < 1.0:
            if self._first:  # of the burst that was counted, so it was not let through either
                self._learn(self._with(soon, -1))
            return
        self._first, self.refused_at, self._start = self._of(soon) is None, now, None
        seen = self._count(now, 1.0 if soon else MINUTE_S) - 1  # without the one that was refused
        known = self._of(soon)
        tried = now - self._grown_at <= 2 * (1.0 if soon else MINUTE_S)  # so it was the step up that was refused
        less = None if known is None else math.floor(known / GROW if tried else known * SHRINK)
        self._learn(self._with(soon, 0, seen if less is None else less))

    def told(self, limit: ToldLimit) -> None:
        """Believed once: a limit that others use too is said again while refusals say less."""
        if limit == self._told:
            return
        self._told, self._start = limit, None
        self._learn(self._with(limit.per == "second", 0, limit.calls))

    def _of(self, second: bool) -> int | None:
        return self._learned.second if second else self._learned.minute

    def _with(self, second: bool, more: int, limit: int | None = None) -> Learned:
        new = max(1, (self._of(second) or 1) + more if limit is None else limit)
        return Learned(new, self._learned.minute) if second else Learned(self._learned.second, new)

    def _look(self, now: float) -> None:
        """Once a second: grow fast at the start, later try a little more."""
        if now - self._looked_at < 1.0 + self._jitter_s:
            return
        if self._looked_at == -math.inf:
            self._grown_at = now  # what was kept is tried first
        busy, self._full, self._looked_at = self._full, False, now
        if self._start is not None and busy:
            self._start = math.ceil(self._start * FASTER) if self._start < MOST else None
            self._rebuild()
        elif self._start is None and busy:
            for second, after_s in ((True, GROW_AFTER_S), (False, 20 * GROW_AFTER_S)):
                known = self._of(second)
                if known is not None and now - max(self.refused_at, self._grown_at) >= after_s:
                    self._grown_at = now
                    self._learn(self._with(second, 0, math.ceil(known * GROW)))

    def _count(self, now: float, span_s: float) -> int:
        while self._sent and self._sent[0] <= now - MINUTE_S:
            self._sent.popleft()
        count = 0
        for at in reversed(self._sent):
            if at <= now - span_s:
                break
            count += 1
        return count

    def _learn(self, learned: Learned) -> None:
        self._learned = learned
        self._rebuild()
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_bytes(msgspec.json.encode(learned))

    def _rebuild(self) -> None:
        windows = [SlidingWindow(*_paced(self._start))] if self._start else []
        for limit, span_s in ((self._learned.second, 1.0), (self._learned.minute, MINUTE_S)):
            if limit:
                windows.append(SlidingWindow(limit, widened(span_s, self._jitter_s)))
        self.windows = tuple(windows)
        self._spans = tuple(window.span_s for window in self.windows)
        for at in self._sent:
            for window in self.windows:
                window.take(at)


def _paced(calls: int) -> tuple[int, float]:
    """``calls`` a second, spread over it: how many in how many seconds.

    >>> _paced(8), _paced(256)
    ((1, 0.125), (4, 0.015625))
    """
    slices = min(calls, SLICES)
    return calls // slices, 1.0 / slices


def _read(file: Path | None) -> Learned:
    try:
        return Learned() if file is None else msgspec.json.decode(file.read_bytes(), type=Learned)
    except (OSError, msgspec.DecodeError):
        return Learned()


class LearnedDirectory:
    """Makes the learned limits of keys, kept below ``directory``; None: forgotten at the end."""

    def __init__(self, directory: Path | None, *, jitter_s: float = JITTER_S) -> None:
        self._directory, self._jitter_s = directory, jitter_s

    def __call__(self, key: PooledKey) -> LearnedLimits:
        facts = repr((key.id, key.base_url, key.model, key.identity)).encode()
        name = f"{key.id}-{hashlib.blake2b(facts, digest_size=8).hexdigest()}.learned"
        return LearnedLimits(self._directory / name if self._directory else None, jitter_s=self._jitter_s)
