"""Rate limits that hold in every window, not per calendar minute. Pure: ``now`` is monotonic seconds, passed in.

A ring of the last ``limit`` calls decides in one comparison: the slot of the call made ``limit`` calls ago is used
again once that call has left the window. That lets a whole burst go at once and never exceeds the limit, where a token
bucket with burst = limit overshoots twofold.

A slot is reserved when a key is chosen and stamped when the request is on its way: between the two lie a connection, a
TLS handshake, a busy loop, and the provider counts what arrives, not what was decided.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, MutableSequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from vision_stream.llm.seats import Seat, Seats
    from vision_stream.llm.token_window import TokenWindow
    from vision_stream.llm.told_limits import SaidLimit

JITTER_S = 0.025  # limit_jitter_s where nobody sets it, and by how much a 429 widens a window
LEAST = 0.01  # of a window is its margin at least: 0.6 s of a minute. Less: a packet sent twice breaks a limit.
MAX_WIDER_S = 0.25  # beside that, for a key that answers 429 to what we allow
RELAX = 0.998  # of it is left after an answer: half after 350 calls
LOOK_AGAIN_S = 0.02  # after another process was quicker. Sooner: cores spent on it. Later: a free slot waits longer.
MINUTE_S = 60.0
PENDING_S = 60.0  # no call lives longer: a reservation that nobody stamped (a crash) holds its slot this long


Cells = MutableSequence[float]  # the next slot's number from 1, then when each slot's call went out


def fresh_cells(limit: int) -> Cells:
    """The cells of a window in which nothing was called yet."""
    cells = array("d", [-math.inf]) * (limit + 1)
    cells[0] = 1
    return cells


class SlidingWindow:
    """At most ``limit`` calls (>= 1) in any half-open window of ``span_s`` seconds.

    >>> window = SlidingWindow(limit=2, span_s=1.0)
    >>> window.take(now=10.0); window.take(now=10.5); window.free_at()
    11.0
    """

    __slots__ = ("_cells", "limit", "span_s")

    def __init__(self, limit: int, span_s: float, cells: Cells | None = None) -> None:
        """``cells`` is ``fresh_cells(limit)``, or memory of that shape that other processes have too."""
        self.limit = limit
        self.span_s = span_s
        self._cells = fresh_cells(limit) if cells is None else cells

    def free_at(self, tokens: int = 0) -> float:
        """When the next call may go, whatever it weighs; in the past or now: at once."""
        cells = self._cells
        return cells[int(cells[0])] + self.span_s

    def pending(self, now: float) -> bool:
        """Whether the next slot's last call is not on its way yet: it will be free sooner than ``free_at`` says."""
        cells = self._cells
        return cells[int(cells[0])] > now

    def reserve(self, now: float, tokens: int = 0) -> int:
        """Take the next slot for a call that is not on its way yet. The caller has looked at ``free_at`` first."""
        cells = self._cells
        slot = int(cells[0])
        cells[slot] = now + PENDING_S
        cells[0] = slot % self.limit + 1
        return slot

    def stamp(self, slot: int, now: float) -> None:
        """The call of ``slot`` went out, at the latest, at ``now``; the first stamp counts."""
        if self._cells[slot] > now:
            self._cells[slot] = now

    def correct(self, slot: int, tokens: int) -> None:
        """It counts calls."""

    def take(self, now: float) -> None:
        """Reserve and stamp at once."""
        self.stamp(self.reserve(now), now)

    def recent(self, now: float) -> list[float]:
        """When the calls of the window that ends at ``now`` went out; one that is not on its way yet: now."""
        return sorted(min(at, now) for at in self._cells[1 : self.limit + 1] if at > now - self.span_s)

    def used(self, now: float) -> int:
        """Calls within the window that ends at ``now``."""
        return sum(1 for slot in range(1, self.limit + 1) if self._cells[slot] > now - self.span_s)


Slots = tuple[Any, ...]  # one a window
Window: TypeAlias = "SlidingWindow | TokenWindow"


class KeyLimits:
    """All limits of one key: a call may go when every window has room.

    A provider that refuses what our windows allow sees requests come closer together than we sent them: each refusal
    widens the windows a little, and answers take that back slowly.
    """

    __slots__ = ("_spans", "_wider_s", "part", "seats", "windows")
    fresh = True  # nobody has counted in these windows yet

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = tuple(windows)
        self._spans = tuple(window.span_s for window in self.windows)
        self._wider_s = 0.0
        self.seats: Seats | None = None  # where all processes count the calls under way; None: this one alone
        self.part = 1.0  # of max_concurrent that is this process's

    def like(self, other: KeyLimits) -> bool:
        """Whether they allow the same, but for what was learned from refusals."""
        return self._shape() == other._shape()

    def _shape(self) -> tuple[tuple[int, float], ...]:
        return tuple((window.limit, span_s) for window, span_s in zip(self.windows, self._spans, strict=True))

    def follow(self, old: KeyLimits, now: float) -> None:
        """Count what went out under ``old`` limits too, unless another process has done so already."""
        if not self.fresh:
            return
        calls = max(old.of_calls(), key=lambda window: window.span_s, default=None)
        for at in calls.recent(now) if calls else ():
            for window in self.of_calls():
                window.take(at)
        for known, window in zip(old.of_tokens(), self.of_tokens(), strict=False):
            for at, tokens in known.recent(now):
                window.stamp(window.reserve(at, tokens), at)

    def of_calls(self) -> list[SlidingWindow]:
        return [window for window in self.windows if isinstance(window, SlidingWindow)]

    def of_tokens(self) -> list[TokenWindow]:
        return [window for window in self.windows if not isinstance(window, SlidingWindow)]

    def refused(self, now: float, wait_s: float | None) -> None:
        """The provider answered 429, and said to wait ``wait_s`` seconds, or nothing."""
        self.widen()

    def told(self, limit: SaidLimit) -> None:
        """The provider says what it allows; configured limits are not moved by that."""

    def widen(self) -> None:
        self._set_wider(min(self._wider_s + JITTER_S, MAX_WIDER_S))

    def relax(self) -> None:
        if self._wider_s:
            self._set_wider(self._wider_s * RELAX if self._wider_s > JITTER_S / 100 else 0.0)

    def _set_wider(self, seconds: float) -> None:
        self._wider_s = seconds
        for window, span_s in zip(self.windows, self._spans, strict=True):
            window.span_s = span_s + seconds

    def explains(self, wait_s: float) -> bool:
        """Whether a refusal that ends within ``wait_s`` is no more than one of the limits that we keep ourselves."""
        return any(0 < wait_s <= span_s for span_s in self._spans if span_s < MINUTE_S)

    def free_at(self, tokens: int = 0) -> float:
        """When a call of ``tokens`` may go; ``-inf`` where nothing is limited."""
        at = -math.inf
        for window in self.windows:  # asked several times a call: a generator would cost as much again
            free_at = window.free_at(tokens)
            if free_at > at:
                at = free_at
        return at

    def look_again_at(self, now: float, tokens: int = 0) -> float:
        """As ``free_at``; sooner where it can change without anyone here being told."""
        return self.free_at(tokens)

    def reserve(self, now: float, tokens: int = 0) -> Slots | None:
        """Take a slot in every window; None: another process was quicker."""
        return tuple([window.reserve(now, tokens) for window in self.windows])

    def seat(self, slots: Slots) -> Seat | None:
        """The place of a call among those under way, where it was reserved with ``slots``."""
        return None

    def correct(self, slots: Slots, tokens: int) -> None:
        """The call of ``slots`` took ``tokens``."""
        for window, slot in zip(self.windows, slots, strict=True):
            window.correct(slot, tokens)

    def stamp(self, slots: Slots, now: float) -> None:
        for window, slot in zip(self.windows, slots, strict=True):
            window.stamp(slot, now)

    def take(self, now: float, tokens: int = 0) -> None:
        """Reserve and stamp at once."""
        for window in self.windows:
            window.stamp(window.reserve(now, tokens), now)


def key_limits(
    qps_limit: float | None, rpm_limit: int | None, tpm_limit: int | None = None, *, jitter_s: float = JITTER_S
) -> KeyLimits:
    """The limits of one key's settings, for one process; None is not limited."""
    from vision_stream.llm.token_window import TokenWindow

    windows: list[Window] = [
        SlidingWindow(limit, span_s) for limit, span_s in spans(qps_limit, rpm_limit, jitter_s=jitter_s)
    ]
    if tpm_limit is not None:
        windows.append(TokenWindow(tpm_limit, widened(MINUTE_S, jitter_s)))
    return KeyLimits(windows)


def widened(span_s: float, jitter_s: float) -> float:
    """A window of ``span_s`` and its margin: ``jitter_s``, by which a call's way may vary, or a hundredth.

    No margin at all where ``jitter_s`` is 0.

    >>> widened(1.0, 0.025), widened(60.0, 0.025), widened(60.0, 0.0)
    (1.025, 60.6, 60.0)
    """
    return span_s + (max(jitter_s, LEAST * span_s) if jitter_s else 0.0)


def spans(
    qps_limit: float | None, rpm_limit: int | None, *, jitter_s: float = JITTER_S
) -> tuple[tuple[int, float], ...]:
    """The windows of one key's settings: how many calls in how many seconds.

    A fraction of ``qps_limit`` is rounded to what fits in a second (2.5: two calls in any second); below 1 it is one
    call in ``1 / qps_limit`` seconds. Each window is ``widened`` by ``jitter_s``.
    """
    windows: list[tuple[int, float]] = []
    if qps_limit is not None:
        windows.append((max(1, math.floor(qps_limit)), widened(max(1.0, 1.0 / qps_limit), jitter_s)))
    if rpm_limit is not None:
        windows.append((rpm_limit, widened(MINUTE_S, jitter_s)))
    return tuple(windows)
