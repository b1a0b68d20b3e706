"""The identity of a group while its members move, join and leave: which group of this frame is which of before.

Two groups are one where they share tracks (common over all members, the Jaccard index); a group of which no member has
a track yet is known by its place. The likest pair comes first, and each identity goes to one group:

- a group that loses or gains members keeps its identity while at least ``SAME_GROUP`` of all are common;
- of a group that splits, the likest part keeps it, of equal parts that with the oldest track; the others are new;
- of groups that merge, the likest one's lives on, of equal ones the older; the other comes back if they part in time.

Pure and without a clock; neither the order of the groups nor that of their members matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from vision_stream.gating.matching import SAME_GROUP, common_tracks, overlap
from vision_stream.messages import Box, Group

FORGET_AFTER_S = 10.0  # out of sight, or merged into another; as long as the gate remembers one
MOST_KNOWN = 400  # twice what a frame may hold


class Known(Struct, frozen=True, kw_only=True):
    group_id: int
    track_ids: frozenset[int]
    box: Box
    seen_at: float


class Identities(Struct, frozen=True, kw_only=True):
    """Of one camera, in one run of its worker."""

    known: tuple[Known, ...] = ()  # those seen last first
    next_id: int = 1


def identify(before: Identities, groups: Sequence[Group], at: float) -> tuple[Identities, tuple[Group, ...]]:
    """The groups of one frame with their ``group_id``, and what to remember.

    ``at``: seconds on any clock; from a step back of more than ``FORGET_AFTER_S`` all are new.
    """
    known = tuple(each for each in before.known if abs(at - each.seen_at) <= FORGET_AFTER_S)
    found = _matched(groups, known)
    next_id = before.next_id
    for index in sorted(range(len(groups)), key=lambda index: _rank(groups[index])):
        if index not in found:
            found[index] = next_id
            next_id += 1
    named = tuple(replace(group, group_id=found[index]) for index, group in enumerate(groups))
    return Identities(known=(*_seen(named, at), *_unseen(known, found.values()))[:MOST_KNOWN], next_id=next_id), named


def _matched(groups: Sequence[Group], known: Sequence[Known]) -> dict[int, int]:
    """Index of a group -> its identity, for those that are one of ``known``."""
    pairs = sorted(
        (-likeness, one.group_id, _rank(groups[index]), index)
        for likeness, index, one in _alike(groups, known)
        if likeness >= SAME_GROUP
    )
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, group_id, _, index in pairs:
        if index not in found and group_id not in taken:
            found[index] = group_id
            taken.add(group_id)
    return found


def _alike(groups: Sequence[Group], known: Sequence[Known]) -> Iterable[tuple[float, int, Known]]:
    """Likeness (0..1), index and identity of the pairs that have anything in common."""
    by_track: defaultdict[int, list[Known]] = defaultdict(list)
    for one in known:
        for track in one.track_ids:
            by_track[track].append(one)
    for index, group in enumerate(groups):
        sharing = {one.group_id: one for track in group.track_ids for one in by_track.get(track, ())}
        for one in sharing.values():
            yield common_tracks(group.track_ids, tuple(one.track_ids)), index, one
        for one in known:
            if not (group.track_ids and one.track_ids):
                yield overlap(group.box, one.box), index, one


def _rank(group: Group) -> tuple[float, ...]:
    """Which of equally like groups comes first; the same in every order of groups and members."""
    box = group.box
    return (min(group.track_ids, default=float("inf")), -len(group.members), box.x1, box.y1, box.x2, box.y2)


def _seen(groups: Iterable[Group], at: float) -> tuple[Known, ...]:
    return tuple(
        Known(group_id=group.group_id, track_ids=frozenset(group.track_ids), box=group.box, seen_at=at)
        for group in groups
        if group.group_id is not None
    )


def _unseen(known: Iterable[Known], named: Iterable[int]) -> tuple[Known, ...]:
    now = set(named)
    return tuple(one for one in known if one.group_id not in now)
