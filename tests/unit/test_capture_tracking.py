import doctest

import pytest

from vision_stream.messages import Box, DetectedObject
from vision_stream.simulators.traffic import parse_scene
from workers.capture import tracking
from workers.capture.tracking import Tracker


def an_object(object_id: int, x: float, *, label: str = "car", confidence: float = 0.9) -> DetectedObject:
    return DetectedObject(object_id=object_id, label=label, confidence=confidence, box=Box(x, 100, x + 80, 150))


def test_an_object_keeps_its_id_while_it_moves():
    tracker = Tracker(fps=2)
    ids = [tracker.update([an_object(0, 50.0 * i)], i / 2)[0].track_id for i in range(6)]
    assert ids[0] is None
    assert ids[1] is not None
    assert set(ids[1:]) == {ids[1]}


def test_objects_come_back_in_their_order_and_as_they_were():
    objects = [an_object(i, 200.0 * i, confidence=0.9 - i / 10) for i in range(4)]
    tracked = Tracker(fps=2).update(objects, 0.0)
    assert [(found.object_id, found.box, found.confidence) for found in tracked] == [
        (found.object_id, found.box, found.confidence) for found in objects
    ]


def test_a_person_does_not_take_over_the_id_of_a_car():
    tracker = Tracker(fps=2)
    for i in range(3):
        (car,) = tracker.update([an_object(0, 100, label="car")], i / 2)
    (first,) = tracker.update([an_object(0, 100, label="person")], 1.5)
    (person,) = tracker.update([an_object(0, 100, label="person")], 2.0)
    assert first.track_id is None
    assert person.track_id not in (None, car.track_id)


def test_a_label_that_flickers_among_vehicles_does_not_break_a_track():
    tracker = Tracker(fps=2)
    found = [tracker.update([an_object(0, 100, label=("car", "truck")[i % 2])], i / 2)[0] for i in range(5)]
    assert len({each.track_id for each in found[1:]}) == 1


def test_an_object_that_is_hidden_for_a_second_keeps_its_id():
    tracker = Tracker(fps=4)
    before = [tracker.update([an_object(0, 100)], i / 4)[0] for i in range(4)][-1]
    for i in range(4, 8):
        assert tracker.update([], i / 4) == ()
    (after,) = tracker.update([an_object(0, 102)], 2.0)
    assert after.track_id == before.track_id


def test_ids_are_not_used_again_when_the_sources_clock_starts_anew():
    tracker = Tracker(fps=2)
    for i in range(3):
        (before,) = tracker.update([an_object(0, 100)], i / 2)
    for i in range(3):
        (after,) = tracker.update([an_object(0, 900)], i / 2)
    assert after.track_id not in (None, before.track_id)


@pytest.mark.parametrize("fps", [2, 5])
def test_on_a_simulated_crossing_tracks_follow_their_road_users(fps: int):
    scene, tracker = parse_scene("sim:crossing?seed=5"), Tracker(fps)
    last: dict[str, int] = {}
    seen = with_id = changes = 0
    for i in range(60 * fps):
        actors = scene.truth(i / fps).actors
        objects = [
            DetectedObject(object_id=n, label=actor.label, confidence=0.9, box=Box(*actor.box))
            for n, actor in enumerate(actors)
        ]
        for actor, found in zip(actors, tracker.update(objects, i / fps), strict=True):
            seen += 1
            if found.track_id is not None:
                with_id += 1
                changes += last.get(actor.id, found.track_id) != found.track_id
                last[actor.id] = found.track_id
    assert with_id / seen > 0.85
    assert changes / with_id < 0.05


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(tracking).failed == 0
