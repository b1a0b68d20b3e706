"""The limits of a key for which none are configured, learned from its refusals.

What the endpoint says of itself in its headers is believed (``told_limits``), of which ``share`` is ours. Where it says
nothing, calls begin few and evenly spaced, and are an eighth more each second. A 429 means that the provider's window
was full, and what we had sent in it is its limit: that of a second where it says to come back within that, else that
of a minute. A limit that is refused again shrinks; one that was full and unrefused for a while grows by a step, because
limits are raised too, but not above what was told. What was learned is kept in a file (``kept_limits``), so that a
restart begins with it. Processes that share a key each learn their part.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import deque
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vision_stream.llm.kept_limits import KeptLimits, Learned
from vision_stream.llm.limits import JITTER_S, MINUTE_S, KeyLimits, SlidingWindow, Slots, Window, fresh_cells, widened
from vision_stream.llm.told_limits import Believer

if TYPE_CHECKING:
    from vision_stream.llm.pool import PooledKey
    from vision_stream.llm.told_limits import SaidLimit

# Calls in the first second, and x the calls of the second before. More: more are out when the first is refused, and are
# refused too; so many are one call of 100, and a percent from there on. Less: a free endpoint is found out later.
START, FASTER = 4, 1.12
SLICES = 64  # of a second at most: one call in each, so that few are out before the first refusal is heard
MOST = 4096  # calls a second: beyond, nothing is limited
SHRINK = 0.95  # of a limit is left that was refused although it held
GROW = 1.02  # of it is tried
GROW_AFTER_S = 30.0  # without a refusal. Sooner: more 429s. Later: a raised limit is found out later.
SOON_S = 1.5  # a wait up to this is of a window of a second


class _Reserved:
    """Slots of the windows that were there when it was reserved; others may have taken their place since."""

    __slots__ = ("sent", "slots", "windows")

    def __init__(self, slots: Slots, windows: tuple[Window, ...]) -> None:
        self.slots, self.windows, self.sent = slots, windows, False


class LearnedLimits(KeyLimits):
    __slots__ = (
        "_believer",
        "_first",
        "_full",
        "_grown_at",
        "_jitter_s",
        "_kept",
        "_learned",
        "_looked_at",
        "_sent",
        "_share",
        "_start",
        "refused_at",
    )

    def __init__(self, file: Path | None = None, *, jitter_s: float = JITTER_S, share: float = 1.0) -> None:
        super().__init__(())
        self._kept, self._jitter_s, self._share = KeptLimits(file), jitter_s, share
        self._sent: deque[float] = deque(maxlen=60 * MOST)  # in the last minute
        self._learned = self._kept.read()
        self._believer = Believer(self._learned.told)
        for second in (True, False):
            if (known := self._of(second)) is not None:
                self._learned = self._with(second, known)  # less, where it was kept with a larger share
        self._start: int | None = None if self._learned.second or self._learned.minute else START
        self._looked_at, self.refused_at, self._full = -math.inf, -math.inf, False
        self._first, self._grown_at = False, -math.inf
        self._rebuild()

    def like(self, other: KeyLimits) -> bool:
        """What one knows the other would have to learn again."""
        return isinstance(other, LearnedLimits) and other._share == self._share

    def reserve(self, now: float, tokens: int = 0) -> Slots | None:
        self._look(now)
        reserved = _Reserved(super().reserve(now, tokens) or (), self.windows)
        self._full = self._full or self.free_at() > now
        return (reserved,)

    def stamp(self, slots: Slots, now: float) -> None:
        for reserved in slots:
            if not reserved.sent:
                reserved.sent = True
                self._note_sent(now)
                for window, slot in zip(reserved.windows, reserved.slots, strict=True):
                    window.stamp(slot, now)

    def correct(self, slots: Slots, tokens: int) -> None:
        """It counts calls."""

    def refused(self, now: float, wait_s: float | None) -> None:
        soon = wait_s is None or wait_s <= SOON_S
        known = self._of(soon)
        if now - self.refused_at < 1.0:
            if self._first and known is not None:  # of the burst that was counted, so it was not let through either
                self._learn(self._with(soon, known - 1))
            return
        self._first, self.refused_at, self._start = known is None, now, None
        seen = self._count(now, 1.0 if soon else MINUTE_S) - 1  # without the one that was refused
        tried = now - self._grown_at <= 2 * (1.0 if soon else MINUTE_S)  # so it was the step up that was refused
        less = None if known is None else math.floor(known / GROW if tried else known * SHRINK)
        self._learn(self._with(soon, seen if less is None else less))

    def told(self, limit: SaidLimit) -> None:
        """Believed once: a limit that others use too is said again while refusals say less."""
        if self._believer.hear(limit):
            self._start = None
            second = limit.per == "second"
            self._learn(self._with(second, self._most(second)))

    def _of(self, second: bool) -> int | None:
        return self._learned.second if second else self._learned.minute

    def _with(self, second: bool, limit: float) -> Learned:
        new = int(max(1, min(limit, self._most(second))))
        known, told = self._learned, self._believer.believed
        return Learned(new, known.minute, told) if second else Learned(known.second, new, told)

    def _most(self, second: bool) -> float:
        """Our share of what was told, above which a limit does not grow again."""
        told = self._believer.believed
        if told is None or (told.per == "second") != second:
            return math.inf
        return math.floor(told.calls * self._share)

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
                if known is None or known >= self._most(second):
                    continue
                if now - max(self.refused_at, self._grown_at) >= after_s:
                    self._grown_at = now
                    self._learn(self._with(second, math.ceil(known * GROW)))

    def _note_sent(self, now: float) -> None:
        self._sent.append(now)
        oldest = now - widened(MINUTE_S, self._jitter_s)
        while self._sent[0] <= oldest:
            self._sent.popleft()

    def _count(self, now: float, span_s: float) -> int:
        count = 0
        for at in reversed(self._sent):
            if at <= now - span_s:
                break
            count += 1
        return count

    def _learn(self, learned: Learned) -> None:
        self._learned = learned
        self._rebuild()
        self._kept.keep(learned)

    def _rebuild(self) -> None:
        shapes = [_paced(self._start)] if self._start else []
        for limit, span_s in ((self._learned.second, 1.0), (self._learned.minute, MINUTE_S)):
            if limit is not None and 0 < limit <= MOST * span_s:
                shapes.append((limit, widened(span_s, self._jitter_s)))
        self.windows = tuple(_window(limit, span_s, self._sent) for limit, span_s in shapes)
        self._spans = tuple(window.span_s for window in self.windows)


def _window(limit: int, span_s: float, sent: deque[float]) -> SlidingWindow:
    """One in which the last calls of ``sent`` went out already; as if each were taken, in a hundredth of the time."""
    last = array("d", islice(reversed(sent), limit))
    last.reverse()
    cells = fresh_cells(limit)
    cells[1 : len(last) + 1] = last
    cells[0] = len(last) % limit + 1
    return SlidingWindow(limit, span_s, cells)


def _paced(calls: int) -> tuple[int, float]:
    """``calls`` a second, spread over it: how many in how many seconds.

    >>> _paced(8), _paced(80), _paced(256)
    ((1, 0.125), (2, 0.025), (4, 0.015625))
    """
    at_once = math.ceil(calls / SLICES)
    return at_once, at_once / calls


class LearnedDirectory:
    """Makes the learned limits of keys, kept below ``directory``; None: forgotten at the end."""

    def __init__(self, directory: Path | None, *, jitter_s: float = JITTER_S, share: float = 1.0) -> None:
        self._directory, self._jitter_s, self._share = directory, jitter_s, share

    def __call__(self, key: PooledKey) -> LearnedLimits:
        facts = repr((key.id, key.base_url, key.model, key.identity)).encode()
        name = f"{key.id}-{hashlib.blake2b(facts, digest_size=8).hexdigest()}.learned"
        file = self._directory / name if self._directory else None
        return LearnedLimits(file, jitter_s=self._jitter_s, share=self._share)
