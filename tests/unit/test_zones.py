"""What counts and where it stands, and what a person reads who drew a zone wrongly."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream import polygons, zones
from vision_stream.clustering import group_objects
from vision_stream.config import InvalidConfig, load
from vision_stream.messages import Box, DetectedObject
from vision_stream.settings import ClusteringSettings, ZoneSettings
from vision_stream.zones import Zones, contains

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
LOWER = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))


def a_zone(kind: str, points=LEFT, name: str | None = None) -> ZoneSettings:
    return ZoneSettings(name=name or kind, kind=kind, points=points)  # type: ignore[arg-type]


def standing_at(object_id: int, x: float, y: float, label: str = "person") -> DetectedObject:
    """In a frame of 100 x 100, with the foot at x, y and most of the box above."""
    return DetectedObject(object_id=object_id, label=label, confidence=0.9, box=Box(x - 5, y - 40, x + 5, y))


def place(objects, *drawn: ZoneSettings):
    return Zones(drawn).place(objects, width=100, height=100)


def test_without_zones_all_count_and_stand_nowhere():
    kept, places = place([standing_at(0, 20, 60)])
    assert [each.object_id for each in kept] == [0]
    assert (dict(places.zones), places.carriageway) == ({}, None)


def test_where_there_is_a_zone_to_include_only_what_stands_in_one_counts():
    here, there, nowhere = standing_at(0, 20, 60), standing_at(1, 80, 90), standing_at(2, 80, 20)
    kept, _ = place([here, there, nowhere], a_zone("include", LEFT, "a"), a_zone("include", LOWER, "b"))
    assert [each.object_id for each in kept] == [0, 1]


def test_what_stands_in_a_zone_to_exclude_does_not_count_be_it_included_too():
    kept, _ = place([standing_at(0, 20, 60), standing_at(1, 20, 20)], a_zone("include"), a_zone("exclude", LOWER))
    assert [each.object_id for each in kept] == [1]


def test_the_foot_decides_and_not_the_centre():
    tall = DetectedObject(object_id=0, label="truck", confidence=0.9, box=Box(10, 0, 30, 60))  # centre above the line
    kept, places = place([tall], a_zone("include", LOWER))
    assert (kept, places.zones[0]) == ((tall,), ("include",))


def test_a_box_cut_at_the_lower_edge_of_the_picture_stands_in_a_zone_that_ends_there():
    cut = standing_at(0, 33.3, 100)
    assert place([cut], a_zone("include", LOWER))[0] == (cut,)


def test_a_group_carries_the_zones_of_its_members_each_once():
    objects = [standing_at(0, 45, 60), standing_at(1, 55, 60), standing_at(2, 48, 70)]
    drawn = (a_zone("carriageway", LEFT, "lane"), a_zone("include", LOWER, "yard"))
    kept, places = place(objects, *drawn)
    (group,) = group_objects(kept, 1080, ClusteringSettings(), places)
    assert group.zones == ("lane", "yard")


@pytest.mark.parametrize(
    ("drawn", "members"),
    [((a_zone("carriageway", LEFT),), [(0,)]), ((), [(0,), (1,)]), ((a_zone("include", LOWER),), [(0,), (1,)])],
    ids=["on the carriageway", "no zones", "no carriageway drawn"],
)
def test_a_lone_person_is_a_group_on_the_carriageway_or_anywhere_where_none_is_drawn(drawn, members):
    objects = [standing_at(0, 10, 60), standing_at(1, 90, 60), standing_at(2, 50, 99, "car")]
    kept, places = place(objects, *drawn)
    settings = ClusteringSettings(single_people=True, max_distance_px=30)
    assert [group.members for group in group_objects(kept, 1080, settings, places)] == members


def test_no_objects_stand_nowhere():
    kept, places = place([], a_zone("include"), a_zone("carriageway", RIGHT))
    assert (kept, places.carriageway) == ((), frozenset())


def simple_polygons() -> st.SearchStrategy[np.ndarray]:
    """Stars around the middle: sorted by angle, so that no two lines cross."""
    radii = st.lists(st.floats(0.05, 0.5), min_size=3, max_size=12)
    return radii.map(
        lambda lengths: np.array(
            [
                (0.5 + r * np.cos(2 * np.pi * i / len(lengths)), 0.5 + r * np.sin(2 * np.pi * i / len(lengths)))
                for i, r in enumerate(lengths)
            ]
        )
    )


@given(polygon=simple_polygons(), at=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_what_is_inside_agrees_with_another_library(polygon, at):
    import cv2

    distance = cv2.pointPolygonTest(polygon.astype(np.float32).reshape(-1, 1, 2), at, True)
    if abs(distance) > 1e-4:  # nearer to the line its 32 bits decide otherwise
        assert contains(polygon, np.array([at]))[0] == (distance > 0)


@given(polygon=simple_polygons())
def test_corners_are_inside_whichever_way_around_they_are_written(polygon):
    assert contains(polygon, polygon).all()
    assert contains(polygon[::-1], polygon).all()


# --- what was drawn wrongly --------------------------------------------------------------------------------------


def refused(tmp_path: Path, *zone: str) -> str:
    lines = ["cameras:", "  - id: cam-01", "    source: 0", "    zones:", *(f"      - {line}" for line in zone)]
    (tmp_path / "cameras.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(InvalidConfig) as error:
        load(tmp_path, environ={})
    return str(error.value).replace(f"{tmp_path}/", "")


SQUARE = "[[0, 0], [1, 0], [1, 1], [0, 1]]"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "{name: a, kind: include, points: [[0, 0], [1.4, 0], [1, 1]]}",
            ["cameras.yaml:5:52", "points[1][0]", "1.4", "at least 0 and at most 1"],
        ),
        ("{name: a, kind: include, points: [[0, 0], [1, 0]]}", ["cameras.yaml:5:", "zones[0].points", "2 points"]),
        (
            "{name: a, kind: include, points: [[0, 0], [1], [1, 1]]}",
            ["cameras.yaml:5:51", "points[1]", "1 numbers", "x and y"],
        ),
        (
            "{name: a, kind: include, points: [[0, 0], [1, 1], [1, 0], [0, 1]]}",
            ["points[2]", "which cross", "put the points in order"],
        ),
        ("{name: a, kind: include, points: [[0, 0], [0.5, 0.5], [1, 1]]}", ["points on one line"]),
        (f"{{name: a, kind: exlude, points: {SQUARE}}}", ["zones[0].kind", "exlude", "write exclude"]),
        (f"{{name: '', kind: include, points: {SQUARE}}}", ["zones[0].name", "not empty"]),
        (f"{{kind: include, points: {SQUARE}}}", ["zones[0].name", "add `name: ...`"]),
        (f"{{name: a, kind: include, points: {SQUARE}, colour: red}}", ["zones[0].colour", "an unknown name"]),
    ],
    ids=["outside", "two points", "one number", "crossing", "a line", "kind", "empty name", "no name", "unknown"],
)
def test_a_zone_drawn_wrongly_is_told_with_its_place(tmp_path: Path, line: str, told: list[str]):
    text = refused(tmp_path, line)
    assert all(part in text for part in told), text


def test_two_zones_of_a_camera_cannot_have_one_name(tmp_path: Path):
    zone = f"{{name: lane, kind: include, points: {SQUARE}}}"
    text = refused(tmp_path, zone, zone)
    assert "cameras[0].zones[1].name" in text
    assert "lane, as in zones[0]" in text


def test_the_examples_in_the_docs_hold():
    assert [doctest.testmod(module).failed for module in (polygons, zones)] == [0, 0]
