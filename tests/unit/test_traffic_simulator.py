from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_stream.simulators.traffic import (
    DANGER_LEVELS,
    LABELS,
    RING_BGR,
    SCENE_NAMES,
    SceneTruth,
    TrafficScene,
    parse_scene,
    read_danger,
)
from vision_stream.simulators.traffic.camera import Camera
from vision_stream.simulators.traffic.motion import Path, Trip

times = st.floats(min_value=0, max_value=2e9, allow_nan=False)


@pytest.fixture(scope="module", params=SCENE_NAMES)
def scene(request: pytest.FixtureRequest) -> TrafficScene:
    return TrafficScene(request.param, seed=3)


def as_seen_by_an_llm(image: np.ndarray, quality: int = 75, shrink: float = 0.5) -> np.ndarray:
    """Through JPEG, then smaller."""
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.resize(decoded, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def test_a_picture_is_bgr_of_the_size_that_was_asked_for():
    image = TrafficScene("crossing", seed=1, width=640, height=360).render(5.0)
    assert (image.shape, image.dtype) == ((360, 640, 3), np.uint8)


def test_the_same_name_seed_and_time_give_the_same_pixels_in_any_order(scene: TrafficScene):
    first = scene.render(31.4)
    scene.render(1e9)
    again = TrafficScene(scene.name, seed=3)
    again.render(7.0)
    assert np.array_equal(scene.render(31.4), first)
    assert np.array_equal(again.render(31.4), first)
    assert again.truth(31.4) == scene.truth(31.4)


def test_another_seed_is_another_picture():
    assert not np.array_equal(TrafficScene("quiet", seed=1).render(3.0), TrafficScene("quiet", seed=2).render(3.0))


def test_what_is_drawn_at_one_time_is_not_drawn_into_the_next():
    scene = TrafficScene("junction", seed=2)
    fresh = TrafficScene("junction", seed=2).render(50.0)
    scene.render(49.0)[:] = 0
    assert np.array_equal(scene.render(50.0), fresh)


@given(t=times)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_boxes_lie_inside_the_frame_and_dangers_have_members_that_can_be_seen(scene: TrafficScene, t: float):
    truth = scene.truth(t)
    ids = [actor.id for actor in truth.actors]
    assert len(ids) == len(set(ids))
    for actor in truth.actors:
        x1, y1, x2, y2 = actor.box
        assert 0 <= x1 < x2 <= scene.width
        assert 0 <= y1 < y2 <= scene.height
        assert actor.label in LABELS
    for danger in truth.dangers:
        assert danger.members
        assert set(danger.members) <= set(ids)
        assert danger.started_at <= t


def test_an_actor_moves_smoothly_and_keeps_its_id(scene: TrafficScene):
    for t in np.arange(20.0, 40.0, 1.7).tolist():
        before = {a.id: a.box for a in scene.truth(t).actors}
        after = {a.id: a.box for a in scene.truth(t + 0.1).actors}
        both = before.keys() & after.keys()
        assert len(both) >= len(before) - 3
        for actor_id in both:
            jump = np.abs(np.subtract(before[actor_id], after[actor_id])).max()
            assert jump < 0.1 * scene.width, (actor_id, t)


@pytest.mark.parametrize("name", ["crossing", "junction", "site"])
def test_a_high_danger_begins_every_twenty_to_forty_seconds(name: str):
    begun = set()
    for seed in (1, 2, 3):
        scene = TrafficScene(name, seed=seed)
        for t in range(0, 300, 2):
            begun |= {(seed, d.id) for d in scene.truth(t).dangers if d.level == "high"}
    assert 20 <= 900 / len(begun) <= 42


def test_a_quiet_street_has_no_danger():
    scene = TrafficScene("quiet", seed=4)
    assert {scene.truth(t).max_level for t in range(0, 300, 2)} == {"none"}


def test_a_street_is_alive(scene: TrafficScene):
    counts = [len(scene.truth(t).actors) for t in np.arange(0, 120, 2.0).tolist()]
    assert max(counts) <= 25
    assert np.mean(counts) >= 2.5


def test_vehicles_never_drive_through_each_other():
    for name in SCENE_NAMES:
        scene = TrafficScene(name, seed=1)
        for t in np.arange(0, 200, 0.7).tolist():
            vehicles = [a._pose for a in scene._actors(t) if a.label in ("car", "bus", "truck")]
            for i, a in enumerate(vehicles):
                assert all(np.hypot(a.x - b.x, a.y - b.y) > 2.0 for b in vehicles[:i]), (name, t)


def crops_and_levels(seeds: range) -> list[tuple[str, np.ndarray]]:
    """Crops around every danger, as clustering would cut them, and crops of safe actors, each with its level."""
    crops: list[tuple[str, np.ndarray]] = []
    for name in SCENE_NAMES:
        for seed in seeds:
            scene = TrafficScene(name, seed=seed)
            for t in np.arange(2.0, 70.0, 3.3).tolist():
                truth = scene.truth(t)
                if len(truth.dangers) > 1:  # Which of them a crop shows would need a second opinion.
                    continue
                members = truth.dangers[0].members if truth.dangers else [a.id for a in truth.actors]
                if members:
                    crops.append((truth.max_level, crop_around(scene, truth, tuple(members), t)))
    return crops


def crop_around(scene: TrafficScene, truth: SceneTruth, members: tuple[str, ...], t: float) -> np.ndarray:
    boxes = np.array([a.box for a in truth.actors if a.id in members])
    x1, y1 = np.maximum(boxes[:, :2].min(axis=0) - 12, 0).astype(int)
    x2, y2 = (boxes[:, 2:].max(axis=0) + 12).astype(int)
    return scene.render(t)[y1:y2, x1:x2]


def test_the_level_of_a_danger_can_be_read_from_a_small_jpeg():
    crops = crops_and_levels(seeds=range(40, 43))
    levels = Counter(level for level, _ in crops)
    wrong = [(want, got) for want, crop in crops if (got := read_danger(as_seen_by_an_llm(crop))) != want]
    assert len(crops) >= 200
    assert all(levels[level] >= 10 for level in ("none", *DANGER_LEVELS))
    assert len(wrong) <= 0.01 * len(crops), wrong


@pytest.mark.parametrize("level", DANGER_LEVELS)
@pytest.mark.parametrize("ground", [(92, 90, 88), (216, 218, 218), (84, 112, 100), (112, 134, 152)])
def test_a_ring_can_be_read_on_any_ground(level: str, ground: tuple[int, int, int]):
    image = np.full((120, 120, 3), ground, np.uint8)
    cv2.ellipse(image, (60, 60), (24, 9), 0, 0, 360, (38, 38, 38), 6, cv2.LINE_AA)
    cv2.ellipse(image, (60, 60), (24, 9), 0, 0, 360, RING_BGR[level], 4, cv2.LINE_AA)  # type: ignore[index]
    assert read_danger(as_seen_by_an_llm(image, quality=80, shrink=1 / 3)) == level


def test_the_highest_of_several_rings_counts():
    image = np.full((100, 300, 3), 90, np.uint8)
    for i, level in enumerate(DANGER_LEVELS):
        cv2.circle(image, (50 + 100 * i, 50), 20, RING_BGR[level], 4)
    assert read_danger(image) == "high"
    assert read_danger(image[:, :200]) == "medium"


def test_an_empty_crop_of_road_is_not_dangerous():
    assert read_danger(np.full((40, 40, 3), 90, np.uint8)) == "none"


def test_an_address_names_a_scene():
    scene = parse_scene("sim:crossing?seed=3&width=640&height=360&fps=5")
    assert (scene.name, scene.seed, scene.width, scene.height, scene.fps) == ("crossing", 3, 640, 360, 5.0)


def test_an_address_may_leave_everything_but_the_name_out():
    scene = parse_scene("sim:site")
    assert (scene.name, scene.seed, scene.width, scene.height, scene.fps) == ("site", 1, 1280, 720, 10.0)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        pytest.param("sim:desert", "unknown scene 'desert': use one of crossing, junction", id="unknown name"),
        pytest.param("sim:", "unknown scene ''", id="no name"),
        pytest.param("rtsp://camera/1", "should look like sim:crossing", id="another scheme"),
        pytest.param("sim:quiet?sed=3", "unknown option 'sed': use seed, width, height, fps", id="unknown option"),
        pytest.param("sim:quiet?seed=x", "seed is 'x': use a number", id="no number"),
        pytest.param("sim:quiet?seed=1&seed=2", "seed is given twice", id="twice"),
        pytest.param("sim:quiet?seed=-1", "seed is -1: use 0 or above", id="negative seed"),
        pytest.param("sim:quiet?width=10", "picture size 10x720", id="too small"),
        pytest.param("sim:quiet?fps=0", "fps is 0", id="no frames"),
        pytest.param("sim:quiet?fps=nan", "fps is nan", id="nan frames"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(address: str, says: str):
    with pytest.raises(ValueError, match=r"sim:|rtsp:") as raised:
        parse_scene(address)
    assert says in str(raised.value)
    assert repr(address) in str(raised.value)


def test_a_trip_halts_where_and_as_long_as_it_should():
    trip = Trip("a", "car", 0, Path((0, 0), (200, 0)), speed=10.0, halt_m=50.0, halt_from=8.0, halt_until=12.0)
    at = {t: pose.x for t in (6.0, 8.0, 10.0, 12.0, 20.0) if (pose := trip.pose(t))}
    assert at[8.0] == at[10.0] == at[12.0] == 50.0
    assert at[6.0] < 50.0 < at[20.0]
    assert trip.pose(-10.0) is None
    assert trip.pose(90.0) is None


@given(x=st.floats(-20, 20), y=st.floats(10, 60))
def test_what_is_farther_away_appears_smaller_and_higher_up(x: float, y: float):
    camera = Camera((0, 0, 10), (0, 30, 0), focal=0.8, width=1280, height=720)
    near, far = camera.project(np.array([[x, y, 0.0], [x, y + 5, 0.0]]))[0]
    assert far[1] < near[1]
    assert camera.pixels_per_metre((x, y + 5, 0.0)) < camera.pixels_per_metre((x, y, 0.0))
