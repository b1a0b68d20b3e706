"""Which cameras' frames are looked at next, and together: who was served longest ago comes first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from workers.capture.detectors.batching import Batching


@dataclass(eq=False)
class Turn:
    """A camera's, which waits with one frame at a time."""

    model: object  # frames for the same one can be looked at together
    since: float = 0.0  # seconds; when it began to wait
    served: int = 0  # the number of the batch that it was in last; 0: none yet
    alone: bool = False  # its last frame failed: others shall not be looked at twice because of the next


T = TypeVar("T", bound=Turn)


def in_turn(waiting: Sequence[T]) -> list[T]:
    """Those of ``waiting`` (at least one) that may share the next batch: the longest unserved first, then who waits
    longest. So nobody is passed over in more batches than there are other cameras, whatever their frame rates.

    >>> turns = [Turn("yolo", since=1.0, served=7), Turn("yolo", since=2.0, served=3), Turn("yolo", since=3.0)]
    >>> [turn.served for turn in in_turn(turns)]
    [0, 3, 7]
    """
    first, *others = sorted(waiting, key=lambda turn: (turn.served, turn.since))
    if first.alone:
        return [first]
    return [first, *(turn for turn in others if turn.model is first.model and not turn.alone)]


def pause_s(waiting: Sequence[Turn], batching: Batching, cameras: int, now: float) -> float:
    """Seconds that an idle device still waits for a batch to fill; 0: it begins.

    Args:
        cameras: how many there are: where all wait, none is waited for.
    """
    if len(waiting) >= min(batching.most, cameras):
        return 0.0
    return max(0.0, min(turn.since for turn in waiting) + batching.wait_s - now)
