from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import assessed, expired, failed
from vision_stream.joining import PENDING_KEPT, CameraResults, join, overdue
from vision_stream.messages import Alert, CameraAssessment, CameraMessage, Overdue, decode, encode


def feed(*messages, state: CameraResults = CameraResults()) -> tuple[CameraResults, list[CameraMessage]]:
    sent: list[CameraMessage] = []
    for message in messages:
        joined = join(state, message)
        state = joined.state
        sent += joined.messages
    return state, sent


def pushes(messages: list[CameraMessage]) -> list[CameraAssessment]:
    return [m for m in messages if isinstance(m, CameraAssessment)]


def three(*levels) -> list:
    return [assessed(level, index=i, group_count=3) for i, level in enumerate(levels)]


@given(st.permutations(three("low", "medium", "none")))
def test_three_groups_give_one_push_with_the_highest_risk(outcomes):
    _, sent = feed(*outcomes)

    (push,) = pushes(sent)
    assert (push.max_risk_level, push.complete) == ("medium", True)
    assert [a.group.index for a in push.assessments] == [0, 1, 2]


def test_failed_and_expired_outcomes_complete_a_request_without_a_risk():
    _, sent = feed(failed(index=0, group_count=2), expired(index=1, group_count=2))

    (push,) = pushes(sent)
    assert (push.max_risk_level, push.complete) == (None, True)


@given(st.lists(st.integers(0, 2), min_size=3, max_size=12))
def test_however_often_outcomes_come_again_there_is_one_push(order):
    outcomes = three("low", "none", "none")

    _, sent = feed(*(outcomes[i] for i in [*order, 0, 1, 2]))

    assert len(pushes(sent)) == 1


def test_the_first_outcome_of_a_task_counts():
    _, sent = feed(assessed("low", group_count=2), assessed("high", group_count=2), failed(index=1, group_count=2))

    assert pushes(sent)[0].max_risk_level == "low"


def test_a_deadline_pushes_what_is_there_as_partial():
    state, _ = feed(assessed("low", group_count=2, captured_at=1000))
    assert overdue(state, 1031.9) == ()
    assert overdue(state, 1032.1) == ("cam-01:s1:1",)

    _, sent = feed(Overdue(request_id="cam-01:s1:1", camera_id="cam-01", at=1032.1), state=state)

    (push,) = pushes(sent)
    assert (push.max_risk_level, push.complete) == ("low", False)


def test_an_outcome_after_a_partial_push_is_no_second_push_but_still_an_alert():
    state, _ = feed(assessed("low", group_count=2), Overdue(request_id="cam-01:s1:1", camera_id="cam-01", at=1033))
    late = assessed("high", index=1, group_count=2)

    state, sent = feed(late, late, state=state)

    assert [type(m) for m in sent] == [Alert]


def test_a_high_risk_is_sent_before_the_others_are_in():
    _, sent = feed(assessed("high", group_count=3))

    assert [type(m) for m in sent] == [Alert]


def test_a_request_without_end_cannot_fill_the_row():
    state, sent = feed(*(assessed(sequence=n, group_count=2) for n in range(PENDING_KEPT + 1)))

    assert len(state.pending) == PENDING_KEPT
    assert [p.complete for p in pushes(sent)] == [False]


@pytest.mark.parametrize("outcomes", [three("low", "high", "none"), [assessed("high", group_count=2)]])
def test_the_state_survives_the_wire(outcomes):
    state, _ = feed(*outcomes)

    assert decode(encode(state), CameraResults) == state


def test_a_tick_that_comes_again_does_not_see_what_came_after_it():
    tick = Overdue(request_id="cam-01:s1:1", camera_id="cam-01", at=1033)
    state, _ = feed(tick, assessed("high", group_count=2))

    again, sent = feed(tick, state=state)

    assert again == state
    assert sent == []
