"""Which group of now is which of before. Track ids decide where both have them, overlap where they have not."""

from __future__ import annotations

from collections.abc import Sequence

from vision_stream.gating.state import RememberedGroup
from vision_stream.messages import Box, Group

SAME_GROUP = 0.3  # share of common tracks, or overlap. Lower: neighbours merge; higher: one newcomer makes a new group


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1.

    >>> overlap(Box(0, 0, 10, 10), Box(5, 0, 15, 10))
    0.3333333333333333
    """
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (area(a) + area(b) - common)


def area(box: Box) -> float:
    return (box.x2 - box.x1) * (box.y2 - box.y1)


def common_tracks(a: Sequence[int], b: Sequence[int]) -> float:
    """Common members over all members (Jaccard index), 0..1; 0 where either is empty."""
    one, other = set(a), set(b)
    return len(one & other) / len(one | other) if one and other else 0.0


def likeness(group: Group, before: RememberedGroup) -> float:
    return max(common_tracks(group.track_ids, before.track_ids), overlap(group.box, before.box))


def match(groups: Sequence[Group], before: Sequence[RememberedGroup]) -> dict[int, int]:
    """Pair groups with remembered ones, the likest first; index of now -> index of before."""
    pairs = sorted(
        (
            (-likeness(group, old), g, o)
            for g, group in enumerate(groups)
            for o, old in enumerate(before)
            if likeness(group, old) >= SAME_GROUP
        ),
    )
    found: dict[int, int] = {}
    for _, g, o in pairs:
        if g not in found and o not in found.values():
            found[g] = o
    return found
