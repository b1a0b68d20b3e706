import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream import clustering
from vision_stream.clustering import cluster_boxes, group_objects
from vision_stream.messages import MAX_GROUPS, Box, DetectedObject
from vision_stream.settings import ClusteringSettings


def an_object(object_id: int, x: float, y: float = 0.0, *, label: str = "car", confidence: float = 0.5, track=None):
    return DetectedObject(
        object_id=object_id, label=label, confidence=confidence, box=Box(x, y, x + 10, y + 10), track_id=track
    )


def naive_labels(boxes: list[tuple[float, float, float, float]], max_distance: float) -> list[int]:
    """The plain pairwise loop: flood each box's neighbours, in order of first appearance."""
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    labels = [-1] * len(boxes)
    for start in range(len(boxes)):
        if labels[start] >= 0:
            continue
        label, frontier = max(labels, default=-1) + 1, [start]
        while frontier:
            here = frontier.pop()
            if labels[here] >= 0:
                continue
            labels[here] = label
            (x, y) = centres[here]
            frontier += [i for i, (a, b) in enumerate(centres) if (a - x) ** 2 + (b - y) ** 2 <= max_distance**2]
    return labels


# Whole pixels, so that both sides compute the very same distances.
corners = st.tuples(st.integers(0, 400), st.integers(0, 400)).map(lambda at: (at[0], at[1], at[0] + 20, at[1] + 40))


@given(boxes=st.lists(corners, max_size=30), max_distance=st.integers(1, 120))
def test_clusters_are_those_of_a_naive_pairwise_loop(boxes, max_distance):
    found = cluster_boxes(np.array(boxes, dtype=np.float64).reshape(-1, 4), max_distance)
    assert found.tolist() == naive_labels(boxes, max_distance)


@given(boxes=st.lists(corners, min_size=1, max_size=20), scale=st.sampled_from([0.5, 2.0, 4.0]))
def test_the_same_scene_at_another_resolution_has_the_same_groups(boxes, scale):
    def groups(factor: float) -> list[tuple[int, ...]]:
        objects = [
            DetectedObject(
                object_id=i, label="car", confidence=0.5, box=Box(*(float(corner * factor) for corner in box))
            )
            for i, box in enumerate(boxes)
        ]
        found = group_objects(objects, int(1080 * factor), ClusteringSettings())
        return [group.members for group in found]

    assert groups(scale) == groups(1.0)


def test_a_chain_of_near_objects_is_one_group():
    chain = [an_object(i, x=100.0 * i) for i in range(5)]
    (group,) = group_objects(chain, 1080, ClusteringSettings(max_distance_px=100))
    assert group.members == (0, 1, 2, 3, 4)
    assert group.box == Box(0, 0, 410, 10)


def test_groups_are_numbered_from_left_to_right():
    objects = [an_object(0, 900), an_object(1, 10), an_object(2, 910), an_object(3, 20)]
    groups = group_objects(objects, 1080, ClusteringSettings())
    assert [(group.index, group.members) for group in groups] == [(0, (1, 3)), (1, (0, 2))]


def test_a_group_says_what_it_is_made_of():
    objects = [
        an_object(4, 0, label="person", confidence=0.4, track=7),
        an_object(9, 20, label="car", confidence=0.8),
        an_object(11, 40, label="car", confidence=0.6, track=3),
    ]
    (group,) = group_objects(objects, 1080, ClusteringSettings())
    assert group.label_counts == {"car": 2, "person": 1}
    assert group.track_ids == (7, 3)
    assert group.mean_confidence == pytest.approx(0.6)


def test_an_object_alone_is_no_group():
    assert group_objects([an_object(0, 0, label="person")], 1080, ClusteringSettings()) == ()


def test_a_lone_person_is_a_group_where_that_is_set_and_a_lone_car_is_not():
    objects = [an_object(0, 0, label="Person"), an_object(1, 900, label="car")]
    (group,) = group_objects(objects, 1080, ClusteringSettings(single_people=True))
    assert group.members == (0,)


def test_a_frame_without_objects_has_no_groups():
    assert group_objects([], 1080, ClusteringSettings()) == ()


def test_no_more_groups_than_a_message_may_hold_and_the_largest_stay():
    singles = [an_object(i, x=1000.0 * i) for i in range(MAX_GROUPS + 5)]
    pair = [an_object(10_000, x=5e6), an_object(10_001, x=5e6 + 5)]
    groups = group_objects([*singles, *pair], 1080, ClusteringSettings(min_group_size=1))
    assert len(groups) == MAX_GROUPS
    assert groups[-1].members == (10_000, 10_001)


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(clustering).failed == 0
