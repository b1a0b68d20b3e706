"""What waits for one session."""

from __future__ import annotations

from tests.gateway_parts import a_detection, an_alert, an_assessment
from workers.gateway.outbox import Outbox
from workers.gateway.protocol import alert_push, assessment_push, detection_push


def drained(outbox: Outbox) -> list[bytes]:
    bodies = []
    while (item := outbox.take()) is not None:
        bodies.append(item[1].body)
    return bodies


def test_of_one_camera_only_the_newest_detection_waits():
    outbox = Outbox()
    old, new, other = (detection_push(a_detection(c, sequence=n)) for c, n in [("a", 1), ("a", 2), ("b", 1)])

    assert outbox.put(old, 1.0) is None
    assert outbox.put(other, 1.0) is None
    assert outbox.put(new, 2.0) is old

    assert drained(outbox) == [new.body, other.body]


def test_a_replaced_detection_waits_since_its_camera_began_to_wait():
    outbox = Outbox()
    outbox.put(detection_push(a_detection(sequence=1)), 1.0)
    outbox.put(detection_push(a_detection(sequence=2)), 9.0)

    item = outbox.take()

    assert item is not None
    assert item[0] == 1.0


def test_events_are_kept_in_order_and_come_first():
    outbox = Outbox()
    detection, first, second = detection_push(a_detection()), assessment_push(an_assessment()), alert_push(an_alert())

    for push in (detection, first, second):
        outbox.put(push, 1.0)

    assert drained(outbox) == [first.body, second.body, detection.body]


def test_beyond_the_bound_the_oldest_event_is_dropped():
    outbox = Outbox(max_events=2)
    pushes = [assessment_push(an_assessment(request_id=f"r{i}")) for i in range(3)]

    displaced = [outbox.put(push, 1.0) for push in pushes]

    assert displaced == [None, None, pushes[0]]
    assert drained(outbox) == [pushes[1].body, pushes[2].body]


def test_an_event_replaces_the_known_state_that_it_supersedes():
    outbox = Outbox()
    known, live = (assessment_push(an_assessment(request_id=name)) for name in ("known", "live"))

    outbox.put(known, 1.0, as_state=True)
    outbox.put(live, 1.0)

    assert drained(outbox) == [live.body]


def test_what_waits_for_an_unsubscribed_camera_is_forgotten():
    outbox = Outbox()
    kept = detection_push(a_detection("b"))
    for push in (detection_push(a_detection("a")), alert_push(an_alert("a")), kept):
        outbox.put(push, 1.0)

    outbox.forget("a")

    assert drained(outbox) == [kept.body]
