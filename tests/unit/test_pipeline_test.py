"""What the pipeline's test concludes from what it saw: it passes only what passed, and names what did not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.builders import a_detection, a_group
from tests.runs import a_run
from vision_stream.messages import encode
from vision_stream.pipeline_test import verdict
from vision_stream.pipeline_test.seen import STAGES, Join, Seen
from vision_stream.pipeline_test.verdict import Sent

SENT = Sent(wanted=10, delivered=10, seconds=5.0, behind_s=0.0, acks_s=(0.01, 0.02))


def seen_of(run: Any, session: str = "") -> Seen:
    seen = Seen(session=session)
    for stage in STAGES:
        for entry in run.topics[stage]:
            seen.note(stage, entry.value, received_at=2000.0)
    return seen


def wrong(seen: Seen, sent: Sent = SENT, p95_limit_s: float = 1e6) -> str:
    return "\n".join(verdict.end_to_end(sent, seen, p95_limit_s=p95_limit_s))


def test_a_run_in_which_all_went_well_passes():
    seen = seen_of(a_run())
    assert seen.settled()
    assert wrong(seen) == ""


def test_a_task_without_an_outcome_and_a_request_without_a_join_fail_it():
    run = a_run()
    run.lose("risk_assessment_results", 3)
    run.lose("camera_assessments", len(run.topics["camera_assessments"]) - 1)
    assert "1 of 20 tasks have no outcome" in wrong(seen_of(run))
    assert "1 requests have no join" in wrong(seen_of(run))


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        (STAGES, "none was read back"),
        (STAGES[1:], "does a worker with the task generator run"),
        (STAGES[2:], "20 of 20 tasks have no outcome: does a worker with the LLM scheduler run?"),
        (STAGES[3:], "10 requests have no join: does a worker with the result aggregator run?"),
    ],
    ids=["nothing", "no tasks", "no outcomes", "no joins"],
)
def test_a_silent_stage_is_named(topics: tuple[str, ...], said: str):
    run = a_run()
    for topic in topics:
        run.topics[topic].clear()
    assert said in wrong(seen_of(run))


def test_detections_that_were_not_delivered_and_a_load_behind_its_pace_fail_it():
    told = wrong(seen_of(a_run()), replace(SENT, delivered=8, behind_s=3.0))
    assert "2 of 10 detections were not delivered" in told
    assert "lagged its pace by 3.0 s" in told


def test_tasks_that_mostly_failed_fail_it_with_their_reasons():
    seen = seen_of(a_run())
    seen.outcomes = dict.fromkeys(seen.outcomes, "failed")
    seen.reasons["no usable key"] = len(seen.outcomes)
    assert "only 0 of 20 tasks were judged (20 x no usable key)" in wrong(seen)


def test_a_p95_above_its_limit_fails_it():
    assert "end to end P95 is" in wrong(seen_of(a_run()), p95_limit_s=0.5)


def test_other_peoples_messages_are_not_counted():
    seen = seen_of(a_run(), session="mine")
    assert seen.messages.total() == 0
    seen.note("detection_results", encode(a_detection(a_group(), session="mine")), 1.0)
    assert seen.messages.total() == 1


def test_the_stages_sum_up_to_the_whole():
    times = a_detection().times
    join = Join(
        replace(times, captured_at=10.0, gated_at=10.1, called_at=10.4, answered_at=11.4, joined_at=11.5), True, 11.6
    )
    rows = {row.stage: row.p95 for row in verdict.latencies([join])}
    assert rows.pop("end to end") == pytest.approx(1.6)
    assert sum(rows.values()) == pytest.approx(1.6)
    assert rows["LLM call"] == pytest.approx(1.0)


def test_the_consumer_names_the_first_silent_stage():
    run = a_run()
    assert verdict.consumer(seen_of(run), 30) == []
    run.topics["risk_assessment_results"].clear()
    assert "nothing on risk_assessment_results within 30 s" in verdict.consumer(seen_of(run), 30)[0]


def test_what_cannot_be_read_is_said():
    seen = seen_of(a_run())
    seen.note("assessment_tasks", b"garbage", 1.0)
    assert verdict.consumer(seen, 30) == ["1 messages of assessment_tasks cannot be read"]
