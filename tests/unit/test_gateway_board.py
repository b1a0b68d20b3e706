"""What the gateway knows of each camera, and what it has seen before."""

from __future__ import annotations

import json

import pytest

from tests.gateway_parts import NOW, a_detection, a_group, a_status, an_alert, an_assessment
from vision_stream.messages import InlineEvidence
from workers.gateway.board import REQUESTS_SEEN, Board


def test_a_detection_that_comes_again_is_not_pushed_again():
    board = Board()

    pushes = [board.detection(a_detection(sequence=n)) for n in (1, 2, 2, 1, 3)]

    assert [push is not None for push in pushes] == [True, True, False, False, True]


def test_a_new_run_of_the_capture_worker_begins_its_sequence_anew():
    board = Board()
    board.detection(a_detection(session="one", sequence=50))

    assert board.detection(a_detection(session="two", sequence=1)) is not None


def test_a_request_is_pushed_once():
    board = Board()

    assert board.assessment(an_assessment(request_id="r")) is not None
    assert board.assessment(an_assessment(request_id="r")) is None


def test_a_partial_assessment_is_followed_by_the_complete_one_and_not_the_other_way_round():
    board = Board()
    partial, complete = (an_assessment(request_id="r", complete=c) for c in (False, True))

    assert [board.assessment(m) is not None for m in (partial, complete, partial)] == [True, True, False]


def test_the_memory_of_requests_is_bounded():
    board = Board()
    for i in range(REQUESTS_SEEN + 1):
        board.assessment(an_assessment(request_id=f"r{i}", at=NOW + i))

    assert board.assessment(an_assessment(request_id="r0")) is not None  # forgotten, and so pushed
    assert board.assessment(an_assessment(request_id=f"r{REQUESTS_SEEN}")) is None


def test_a_late_assessment_is_pushed_and_does_not_become_the_latest():
    board = Board()
    board.assessment(an_assessment(request_id="new", at=NOW + 5))

    assert board.assessment(an_assessment(request_id="old", at=NOW)) is not None

    view = board.get("cam-01")
    assert view is not None
    assert view.assessment is not None
    assert view.assessment.request_id == "new"


@pytest.mark.parametrize(
    ("change", "pushed"),
    [
        pytest.param({}, False, id="the same"),
        pytest.param({"updated_at": NOW + 1, "state": "continued"}, True, id="confirmed"),
        pytest.param({"updated_at": NOW + 1, "state": "resolved"}, True, id="over"),
    ],
)
def test_an_alert_is_pushed_when_it_has_changed(change, pushed):
    board = Board()
    board.assessment(an_alert())

    assert (board.assessment(an_alert(**change)) is not None) is pushed


def test_one_alert_is_one_row_however_many_frames_confirm_it():
    board = Board()
    for i in range(5):
        board.assessment(an_alert(updated_at=NOW + i, state="continued", confirmations=i + 1))

    view = board.get("cam-01")
    assert view is not None
    assert [(a.alert_id, a.confirmations) for a in view.alerts] == [("a-1", 5)]


def test_an_older_status_does_not_replace_a_newer_one():
    board = Board()
    board.status(a_status(at=NOW + 1, state="stalled"))

    assert board.status(a_status(at=NOW)) is None


def test_the_groups_pictures_stay_out_of_the_browser():
    picture = InlineEvidence(jpeg=b"\xff\xd8" * 1000)

    push = Board().detection(a_detection(groups=(a_group(evidence=picture),)))

    assert push is not None
    assert json.loads(push.body)["data"]["groups"][0]["evidence"]["kind"] == "none"


def test_the_rate_is_that_of_the_last_detections():
    board = Board()
    for i in range(11):
        board.detection(a_detection(sequence=i, at=NOW + i / 5))

    view = board.get("cam-01")
    assert view is not None
    assert view.fps == pytest.approx(5.0)


def test_a_newcomer_is_sent_the_newest_of_each_and_the_alerts_that_are_not_over():
    board = Board()
    board.status(a_status())
    board.detection(a_detection(sequence=1))
    board.detection(a_detection(sequence=2))
    board.assessment(an_assessment())
    board.assessment(an_alert(alert_id="over", state="resolved"))
    board.assessment(an_alert(alert_id="open"))

    view = board.get("cam-01")
    assert view is not None
    known = [json.loads(push.body) for push in view.known()]
    assert [(m["type"], m["data"].get("sequence") or m["data"].get("alert_id")) for m in known] == [
        ("camera_status", None),
        ("detection_result", 2),
        ("risk_assessment", None),
        ("alert", "open"),
    ]


def test_the_camera_that_was_silent_longest_is_forgotten_first():
    board = Board(max_cameras=2)
    for camera_id in ("a", "b"):
        board.detection(a_detection(camera_id, sequence=1))
    board.detection(a_detection("a", sequence=2))
    board.detection(a_detection("c", sequence=1))

    assert [view.camera_id for view in board.views()] == ["a", "c"]
