"""Box clustering: objects that stand together become one group, which is what one LLM call judges.

Two objects are linked when their box centres are at most a distance apart; groups are what links join, transitively.
The distance is set for 1080 lines and scales with the frame, so that one setting serves every resolution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from vision_stream.messages import MAX_GROUPS, Box, DetectedObject, Group
from vision_stream.settings import ClusteringSettings
from vision_stream.zones import NOWHERE, Places

REFERENCE_LINES = 1080  # the frame height that `max_distance_px` is meant for
PEOPLE = frozenset({"person", "pedestrian", "people"})


def cluster_boxes(boxes: NDArray[np.floating], max_distance: float) -> NDArray[np.int32]:
    """Label boxes whose centres are linked by steps of at most ``max_distance`` pixels (>= 0).

    Args:
        boxes: shape (n, 4), x1 y1 x2 y2 in pixels of the frame.

    Returns:
        Shape (n,): one group label per box, from 0 in order of first appearance.

    >>> cluster_boxes(np.array([[0, 0, 10, 10], [40, 0, 50, 10], [900, 0, 910, 10]]), max_distance=50).tolist()
    [0, 0, 1]
    """
    if len(boxes) == 0:
        return np.empty(0, dtype=np.int32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return connected_components(_graph(cdist(centres, centres) <= max_distance), directed=False)[1]


def _graph(linked: NDArray[np.bool_]) -> csr_array:
    """The same as ``csr_array(linked)``, in the types that SciPy would convert it to; half the time for a few boxes."""
    rows, columns = np.nonzero(linked)
    ends = np.searchsorted(rows, np.arange(len(linked) + 1))
    return csr_array((np.ones(len(rows)), columns.astype(np.int32), ends.astype(np.int32)), shape=linked.shape)


def group_objects(
    objects: Sequence[DetectedObject], frame_height: int, settings: ClusteringSettings, places: Places = NOWHERE
) -> tuple[Group, ...]:
    """The groups of one frame, from left to right, so that an index means the same from frame to frame.

    A group has ``min_group_size`` members or more, or is a single person where ``single_people`` is set: on the
    carriageway, where one is drawn, else anywhere. It carries the names of the zones that a member stands in. Where a
    frame has more groups than a message may hold, the largest are kept.
    """
    max_distance = settings.max_distance_px * frame_height / REFERENCE_LINES
    clusters = [members for members in _clusters(objects, max_distance) if _worth_judging(members, settings, places)]
    largest = sorted(clusters, key=len, reverse=True)[:MAX_GROUPS]
    placed = sorted(((_union(members), members) for members in largest), key=lambda pair: (pair[0].x1, pair[0].y1))
    return tuple(_group(index, box, members, places) for index, (box, members) in enumerate(placed))


def _clusters(objects: Sequence[DetectedObject], max_distance: float) -> list[list[DetectedObject]]:
    corners = np.array([(o.box.x1, o.box.y1, o.box.x2, o.box.y2) for o in objects], dtype=np.float64).reshape(-1, 4)
    labels = cluster_boxes(corners, max_distance)
    clusters: list[list[DetectedObject]] = [[] for _ in range(labels.max(initial=-1) + 1)]
    for label, found in zip(labels, objects, strict=True):
        clusters[label].append(found)
    return clusters


def _worth_judging(members: list[DetectedObject], settings: ClusteringSettings, places: Places) -> bool:
    if len(members) >= settings.min_group_size:
        return True
    if not settings.single_people or len(members) != 1 or members[0].label.casefold() not in PEOPLE:
        return False
    return places.carriageway is None or members[0].object_id in places.carriageway


def _union(members: list[DetectedObject]) -> Box:
    boxes = [member.box for member in members]
    return Box(
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )


def _group(index: int, box: Box, members: list[DetectedObject], places: Places) -> Group:
    zones = (zone for member in members for zone in places.zones.get(member.object_id, ()))
    confidence = sum(member.confidence for member in members) / len(members)
    return Group(
        index=index,
        box=box,
        members=tuple(member.object_id for member in members),
        track_ids=tuple(member.track_id for member in members if member.track_id is not None),
        label_counts=dict(sorted(Counter(member.label for member in members).items())),
        mean_confidence=min(1.0, round(confidence, 4)),
        zones=tuple(dict.fromkeys(zones)),
    )
