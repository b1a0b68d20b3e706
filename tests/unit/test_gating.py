from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_detection, a_group, an_object, assessed, failed
from vision_stream.gating import CameraGate, Gated, gate, learn
from vision_stream.messages import CameraAssessment, Detection, GroupAssessment, decode, encode
from vision_stream.settings import GatingSettings

POLICY = GatingSettings(cooldown_s=2, reassess_after_s=10, reassess_high_after_s=3, max_groups_per_request=2)


def decide(detection: Detection, state: CameraGate = CameraGate()) -> Gated:
    return gate(state, detection, POLICY, task_deadline_s=30)


def answer(*outcomes: GroupAssessment) -> CameraAssessment:
    return CameraAssessment(
        request_id=outcomes[0].request_id,
        camera_id="cam-01",
        assessments=outcomes,
        group_count=len(outcomes),
        max_risk_level=None,
        complete=True,
        times=outcomes[0].times,
    )


def test_a_new_group_becomes_a_task_with_a_deterministic_id():
    gated = decide(a_detection(a_group(0), sequence=7, captured_at=1000))

    assert [t.task_id for t in gated.tasks] == ["cam-01:s1:7/0"]
    assert (gated.tasks[0].deadline, gated.tasks[0].group_count) == (1030, 1)


def test_an_unchanged_group_is_left_alone_until_its_verdict_is_old():
    state = decide(a_detection(a_group(0))).state

    soon = decide(a_detection(a_group(0), sequence=2, captured_at=1009.9), state)
    later = decide(a_detection(a_group(0), sequence=3, captured_at=1010), soon.state)

    assert (soon.tasks, soon.skips) == ((), {"unchanged": 1})
    assert len(later.tasks) == 1


@pytest.mark.parametrize(
    ("outcome", "wait_s"),
    [(assessed("high"), 3), (failed(), 3), (assessed("low"), 10)],
    ids=["high: soon", "failed: soon, for the danger is unknown", "low: later"],
)
def test_a_verdict_decides_when_to_look_again(outcome: GroupAssessment, wait_s: float):
    state = learn(decide(a_detection(a_group(0))).state, answer(outcome))

    assert not decide(a_detection(a_group(0), sequence=2, captured_at=1000 + wait_s - 0.1), state).tasks
    assert decide(a_detection(a_group(0), sequence=2, captured_at=1000 + wait_s), state).tasks


@pytest.mark.parametrize(
    "changed",
    [
        a_group(0, an_object(0), an_object(1, x=140), an_object(2, x=160)),
        a_group(0, an_object(0), an_object(1, "person", x=140)),
        a_group(0, an_object(0, x=150), an_object(1, x=190)),
    ],
    ids=["a member more", "another label", "moved"],
)
def test_a_changed_group_is_sent_again(changed):
    state = decide(a_detection(a_group(0))).state

    assert decide(a_detection(changed, sequence=2, captured_at=1003), state).tasks


def test_a_camera_is_never_asked_about_more_often_than_its_cooldown():
    state = decide(a_detection(a_group(0))).state
    newcomer = a_group(0, an_object(8, x=800), an_object(9, x=840))

    held = decide(a_detection(newcomer, sequence=2, captured_at=1001.9), state)
    sent = decide(a_detection(newcomer, sequence=3, captured_at=1002), held.state)

    assert (held.tasks, held.skips) == ((), {"cooldown": 1})
    assert len(sent.tasks) == 1


def test_the_most_urgent_groups_go_first_and_the_rest_is_counted():
    cars = [an_object(i, x=100 + 30 * i) for i in range(2)]
    near = [an_object(2, "person", x=500), an_object(3, x=520)]
    far = [an_object(4, "person", x=1000), an_object(5, x=1140)]
    groups = a_group(0, *cars), a_group(1, *far), a_group(2, *near)

    gated = decide(a_detection(*groups, objects=(*cars, *near, *far)))

    assert [t.group.index for t in gated.tasks] == [2, 1]
    assert gated.tasks[0].group_count == 2
    assert gated.skips == {"too many groups": 1}


def test_a_group_left_out_is_sent_next_time():
    groups = [a_group(i, an_object(2 * i, x=300 * i + 50), an_object(2 * i + 1, x=300 * i + 90)) for i in range(3)]
    first = decide(a_detection(*groups))

    second = decide(a_detection(*groups, sequence=2, captured_at=1002), first.state)

    assert {t.group.index for t in first.tasks} | {t.group.index for t in second.tasks} == {0, 1, 2}


def test_closing_in_raises_the_priority():
    def scene(x: float) -> tuple:
        return an_object(0, "person", x=600), an_object(1, "car", x=x)

    still = decide(a_detection(a_group(0, *scene(400)), objects=scene(400))).tasks[0].priority
    before = decide(a_detection(objects=scene(100), captured_at=999.5, sequence=0)).state
    closing = decide(a_detection(a_group(0, *scene(400)), objects=scene(400)), before).tasks[0].priority

    assert closing > still


def test_a_replayed_detection_changes_nothing():
    detection = a_detection(a_group(0))
    state = decide(detection).state

    again = decide(detection, state)

    assert (again.state, again.tasks, again.replayed) == (state, (), True)


def test_a_past_session_s_detection_is_a_replay_and_a_new_session_is_not():
    old = decide(a_detection(a_group(0), session="s1", sequence=5)).state
    new = decide(a_detection(a_group(0), session="s2", sequence=0, captured_at=1020), old)

    assert new.tasks
    assert decide(a_detection(a_group(0), session="s1", sequence=5), new.state).replayed


def test_against_the_state_of_before_a_replay_decides_the_same():
    state = decide(a_detection(a_group(0))).state
    detection = a_detection(a_group(0), sequence=2, captured_at=1011)

    assert decide(detection, state) == decide(detection, state)


def test_the_state_survives_the_wire():
    state = decide(a_detection(a_group(0), objects=(an_object(0), an_object(1)))).state

    assert decode(encode(state), CameraGate) == state


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 5)), max_size=30))
def test_every_group_is_a_task_or_a_counted_skip(frames):
    state, at = CameraGate(), 1000.0
    for sequence, (count, step) in enumerate(frames):
        at += step
        groups = [a_group(i, an_object(2 * i, x=99 * i), an_object(2 * i + 1, x=99 * i + 40)) for i in range(count)]
        gated = decide(a_detection(*groups, sequence=sequence, captured_at=at), state)
        state = gated.state
        assert len(gated.tasks) + sum(gated.skips.values()) == count
        assert all(task.group_count == len(gated.tasks) for task in gated.tasks)


def test_a_verdict_that_comes_before_its_detection_is_decided_again_is_kept_for_it():
    before = decide(a_detection(a_group(0))).state
    replayed = a_detection(a_group(0, an_object(7, label="bus", x=900)), sequence=2, captured_at=1005)

    ahead = learn(before, answer(assessed("high", sequence=2, captured_at=1005)))
    state = decide(replayed, ahead).state

    assert state == learn(decide(replayed, before).state, answer(assessed("high", sequence=2, captured_at=1005)))
    assert state.early == ()


def test_a_verdict_on_what_is_forgotten_is_not_kept():
    state = decide(a_detection(a_group(0), sequence=5)).state

    assert learn(state, answer(assessed("high", sequence=3))) == state
