from __future__ import annotations

from typing import Any

from tests.builders import a_detection, an_object
from vision_stream.messages import Detection
from vision_stream.settings import ZoneSettings
from vision_stream.zones import Zones
from workers.mqtt.tracks import MAX_TRACKS, TrackBook

LANES = Zones(
    [
        ZoneSettings.model_validate(
            {"name": name, "kind": "carriageway", "points": [[left, 0], [right, 0], [right, 1], [left, 1]]}
        )
        for name, left, right in (("west", 0.0, 0.5), ("east", 0.6, 1.0))
    ]
)


def a_book(zones: Zones | None = None) -> TrackBook:
    return TrackBook("cam-01", zones or Zones(), lost_after_s=5.0)


def seen(at: float, *objects: Any, session: str = "s1") -> Detection:
    return a_detection(sequence=int(at * 10), captured_at=at, objects=objects, session=session)


def kinds(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.type, event.after.id) for event in events]


def test_an_object_is_new_once_it_has_a_track_and_ends_when_it_is_out_of_sight_for_long():
    book, car = a_book(), an_object(0, track_id=7)

    assert kinds(book.take(seen(100.0, an_object(0, track_id=None)))) == []
    assert kinds(book.take(seen(100.5, car))) == [("new", "cam-01-s1-7")]
    assert kinds(book.take(seen(101.0, car))) == []
    assert kinds(book.take(seen(106.0))) == []
    (end,) = book.take(seen(106.1))

    assert (end.type, end.after.start_time, end.after.end_time) == ("end", 100.5, 101.0)
    assert end.before.end_time is None


def test_the_first_event_has_the_same_before_as_after():
    (new,) = a_book().take(seen(1.0, an_object(0)))
    assert new.before == new.after
    assert new.after.box == (80, 80, 120, 120)
    assert new.after.area == 1600


def test_another_zone_is_an_update_and_zones_that_were_entered_stay_known():
    book = a_book(LANES)
    (new,) = book.take(seen(1.0, an_object(0, x=100)))
    (update,) = book.take(seen(2.0, an_object(0, x=1500)))
    (left,) = book.take(seen(3.0, an_object(0, x=1100)))

    assert new.after.current_zones == ("west",)
    assert (update.type, update.before.current_zones, update.after.current_zones) == ("update", ("west",), ("east",))
    assert (left.after.current_zones, left.after.entered_zones) == ((), ("west", "east"))


def test_a_label_that_flickers_is_no_update_and_one_that_prevails_is_one():
    book = a_book()
    labels = ["car", "truck", "car", "truck", "truck"]
    told = [book.take(seen(1.0 + n, an_object(0, label))) for n, label in enumerate(labels)]

    assert [len(events) for events in told] == [1, 0, 0, 0, 1]
    assert (told[4][0].before.label, told[4][0].after.label) == ("car", "truck")


def test_the_best_score_is_kept_and_the_newest_is_told():
    book = a_book(LANES)
    book.take(seen(1.0, an_object(0, confidence=0.9)))
    (update,) = book.take(seen(2.0, an_object(0, x=1500, confidence=0.6)))
    assert (update.after.top_score, update.after.score) == (0.9, 0.6)


def test_a_detection_that_comes_again_or_late_is_no_news():
    book = a_book()
    book.take(seen(2.0, session="s1"))
    assert not book.is_news(seen(2.0, session="s1"))
    assert not book.is_news(seen(1.0, session="s1"))
    assert book.is_news(seen(2.1, session="s1"))

    book.take(seen(3.0, session="s2"))
    assert not book.is_news(seen(9.0, session="s1"))


def test_another_session_of_the_capture_worker_ends_what_the_former_tracked():
    book = a_book()
    book.take(seen(1.0, an_object(0)))
    told = book.take(seen(2.0, an_object(0), session="s2"))
    assert kinds(told) == [("end", "cam-01-s1-0"), ("new", "cam-01-s2-0")]


def test_more_tracks_than_anyone_has_end_with_the_oldest():
    book = a_book()
    for n in range(MAX_TRACKS // 500):
        book.take(seen(1.0 + n / 10, *(an_object(i, track_id=n * 500 + i) for i in range(500))))
    told = book.take(seen(2.0, an_object(0, track_id=9999)))
    assert kinds(told) == [("new", "cam-01-s1-9999"), ("end", "cam-01-s1-0")]


def test_all_end_where_the_camera_is_gone():
    book = a_book()
    book.take(seen(1.0, an_object(0), an_object(1)))
    assert [event.type for event in book.close()] == ["end", "end"]
    assert book.close() == []
