"""The auditor on constructed runs: silent where all is well, and each planted defect found, with its id."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.runs import BEGAN, READ_AT, SETTINGS, Run, a_run, judged
from vision_stream.audit import Entry, Report, check
from vision_stream.audit.calls import busiest
from vision_stream.audit.facts import INPUTS
from vision_stream.messages import (
    Alert,
    Assessed,
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    GroupAssessment,
    decode,
    encode,
)
from vision_stream.settings import KeySettings, LLMSettings
from vision_stream.simulators.llm.calls import Call
from vision_stream.simulators.load import Load


@pytest.fixture
def run() -> Run:
    return a_run()


def first(run: Run, topic: str, kind: type) -> int:
    """Offset of the first message of a type."""
    kinds = {"camera_assessments": CameraMessage, "risk_assessment_results": GroupAssessment}
    return next(e.offset for e in run.topics[topic] if isinstance(decode(e.value, kinds[topic]), kind))


def test_a_run_in_which_all_went_well_has_no_findings(run: Run):
    report = run.report(strict=True)

    assert report.findings == ()
    assert report.settled
    assert report.checked["I1"] == 20
    assert report.checked["I2"] == 20
    assert report.checked["I3"] == 10
    assert report.checked["I7"] == 40
    assert report.counts["alerts"] > 0


def test_what_cannot_be_judged_is_said(run: Run):
    assert set(run.report().undecided) == {"I4", "I8", "I9", "I12", "I13"}


# -- lost


def test_a_lost_task_is_found(run: Run):
    run.lose("assessment_tasks", 3)

    assert run.found()["I1"] == ["load-0002:s1:1/1"]


def test_a_lost_outcome_is_found_and_its_request_waits(run: Run):
    run.lose("risk_assessment_results", 0)

    found = run.found()
    assert found["I2"] == ["load-0001:s1:1/0"]
    assert "load-0001:s1:1" in found["I3"]


def test_a_lost_join_is_found(run: Run):
    run.lose("camera_assessments", first(run, "camera_assessments", CameraAssessment))

    assert run.found()["I3"] == ["load-0001:s1:1"]


def test_a_lost_alert_is_found(run: Run):
    offset = first(run, "camera_assessments", Alert)
    alert = decode(run.topics["camera_assessments"][offset].value, Alert)
    run.lose("camera_assessments", offset)

    assert run.found()["I4"] == [alert.alert_id]


def test_a_detection_that_was_committed_and_never_handled_is_found(run: Run):
    extra = a_run(Load(cameras=1, fps=1.0, seconds=6, groups=2, session="s1")).topics["detection_results"][-1]
    run.send("detection_results", "load-0001", extra.value or b"")

    assert run.found() == {"I6": ["load-0001:s1:6"]}


def test_a_verdict_that_was_committed_and_never_learned_is_found(run: Run):
    run.topics["camera_state"].pop()

    assert set(run.found()) == {"I6"}


# -- doubled


def test_an_outcome_that_came_twice_is_a_repeat_and_its_calls_are_counted(run: Run):
    twice = run.topics["risk_assessment_results"][4]
    run.topics["risk_assessment_results"].insert(5, twice)
    run.topics["risk_assessment_results"] = [
        e._replace(offset=n) for n, e in enumerate(run.topics["risk_assessment_results"])
    ]

    report = run.report()
    assert report.ok
    assert report.repeats == {"risk_assessment_results": 1, "llm_calls": 1}
    assert set(run.found(strict=True)) == {"I11"}


def test_a_call_of_which_two_handlers_told_is_one_beside_the_call_log_and_another_call_is_one_more(run: Run):
    calls = run.report().counts["llm_calls_of_outcomes"]
    results = run.topics["risk_assessment_results"]
    told = decode(results[4].value, Assessed)
    results.append(results[4]._replace(offset=len(results)))
    assert run.report().counts["llm_calls_of_outcomes"] == calls

    another = encode(replace(told, latency_s=told.latency_s + 0.1))
    results.append(results[4]._replace(offset=len(results), value=another))
    assert run.report().counts["llm_calls_of_outcomes"] == calls + told.attempts


def test_a_group_with_two_different_tasks_is_found(run: Run):
    run.topics["assessment_tasks"].append(run.topics["assessment_tasks"][0]._replace(offset=20))
    run.change("assessment_tasks", 20, AssessmentTask, lambda task: replace(task, group_count=1))

    assert run.found()["I1"] == ["load-0001:s1:1/0"]


def test_two_joins_of_a_request_that_differ_are_found(run: Run):
    offset = first(run, "camera_assessments", CameraAssessment)
    end = len(run.topics["camera_assessments"])
    run.topics["camera_assessments"].append(run.topics["camera_assessments"][offset]._replace(offset=end))
    run.change("camera_assessments", end, CameraAssessment, lambda a: replace(a, assessments=a.assessments[:1]))

    assert set(run.found()["I3"]) == {"load-0001:s1:1"}


def test_an_alert_that_no_verdict_gives_is_found(run: Run):
    offset = first(run, "camera_assessments", Alert)
    run.change("camera_assessments", offset, Alert, lambda alert: replace(alert, confirmations=7))

    assert "I4" in run.found()


def test_an_alert_with_two_rows_in_redis_is_found(run: Run):
    alert = decode(run.topics["camera_assessments"][first(run, "camera_assessments", Alert)].value, Alert)

    assert run.found(alert_rows={"load-0001": (alert, alert)}) == {"I4": [alert.alert_id]}


# -- swapped


def test_outcomes_that_were_given_to_each_others_tasks_are_found(run: Run):
    one, other = (decode(run.topics["assessment_tasks"][n].value, AssessmentTask) for n in (0, 1))
    run.change("risk_assessment_results", 0, Assessed, lambda _: judged(other, "none", task_id=one.task_id))
    run.change("risk_assessment_results", 1, Assessed, lambda _: judged(one, "none", task_id=other.task_id))

    assert run.found()["I2"] == [one.task_id, other.task_id]


def test_tasks_in_another_order_than_their_detections_are_found(run: Run):
    run.swap("assessment_tasks", 0, 4)

    assert "I10" in run.found()


def test_rows_in_another_order_than_their_detections_are_found(run: Run):
    rows = [e.offset for e in run.topics["camera_state"] if e.key == b"load-0001"]
    run.swap("camera_state", rows[0], rows[2])

    assert {"I7", "I10"} <= set(run.found())


# -- wrong maximum


def test_a_wrong_maximum_is_found(run: Run):
    offset = first(run, "camera_assessments", CameraAssessment)
    run.change("camera_assessments", offset, CameraAssessment, lambda a: replace(a, max_risk_level="none"))

    assert set(run.found()) == {"I3"}


def test_a_complete_join_that_lacks_a_task_of_its_request_is_found(run: Run):
    offset = first(run, "camera_assessments", CameraAssessment)
    run.change(
        "camera_assessments",
        offset,
        CameraAssessment,
        lambda a: replace(a, assessments=a.assessments[:1], max_risk_level=a.assessments[0].risk_level),
    )

    assert any("lacks" in finding.what for finding in run.report().findings)


# -- wedge


def test_a_partition_that_is_not_committed_for_long_is_found(run: Run):
    run.uncommitted["assessment_tasks"] = 18

    assert run.found() == {"I5": ["assessment_tasks-0@18"]}


def test_what_has_just_come_is_no_wedge(run: Run):
    run.uncommitted["assessment_tasks"] = 18

    report = run.report(read_at=BEGAN + 1)

    assert report.ok
    assert not report.settled


def test_a_request_that_nothing_closes_is_found(run: Run):
    run.lose("risk_assessment_results", 19)
    run.lose("camera_assessments", len(run.topics["camera_assessments"]) - 1)

    assert "load-0002:s1:5" in run.found()["I3"]


# -- tables, poison, keys


def test_a_row_that_is_no_fold_is_found(run: Run):
    run.swap("pending_assessments", 0, 2)

    assert set(run.found()) == {"I7"}


def test_a_row_that_stays_behind_the_committed_outcomes_is_found(run: Run):
    run.topics["pending_assessments"].pop()

    assert set(run.found()) == {"I7"}


def test_rows_that_compaction_took_are_said_not_found(run: Run):
    del run.topics["camera_state"][2:9]

    report = run.report()

    assert report.ok, report.findings
    assert "I1" in report.undecided


def test_poison_in_the_dead_letters_is_no_finding_and_elsewhere_is(run: Run):
    run.send("detection_results", "load-0001", b"poison")
    assert set(run.found()) == {"I6"}

    run.bury("detection_results", 10)
    assert run.found() == {}


def test_a_sound_message_that_was_buried_is_found_until_it_is_replayed(run: Run):
    entries = run.topics["camera_assessments"]
    run.send("camera_assessments", "load-0001", entries[0].value or b"")
    entries[-1] = Entry(0, len(entries) - 1, BEGAN, b"load-0002", entries[-1].value)  # a key that is not the camera's
    run.bury("camera_assessments", len(entries) - 1)
    assert run.found() == {}

    run.bury("risk_assessment_results", 19)
    assert run.found()["I6"] == ["risk_assessment_results-0@19"]

    run.send("risk_assessment_results", "load-0002", run.topics["risk_assessment_results"][19].value or b"")
    assert run.found() == {}


def test_calls_beyond_a_keys_limit_are_found_with_the_window(run: Run):
    settings = SETTINGS.model_copy(
        update={"llm": LLMSettings.model_validate({"keys": [{"id": "k", "api_key": "x", "qps_limit": 2}]})}
    )
    calls = tuple(Call(key="k", at=BEGAN + n * 0.4, status=200, latency_s=0.1) for n in range(3))

    report = check(run.facts(calls=calls), settings)

    assert [(f.invariant, f.id) for f in report.findings] == [("I8", "k")]
    assert isinstance(settings.llm.keys[0], KeySettings)


def test_a_window_is_half_open():
    assert busiest([0.0, 1.0, 2.0], span_s=1.0) == (1, 0.0)


# -- a part of a run


def test_with_the_older_part_gone_nothing_is_found_that_is_not_there(run: Run):
    whole = run.facts()
    cut = {name: tuple(e for e in entries if e.offset >= len(entries) // 2) for name, entries in whole.topics.items()}
    cut |= {name: whole.topics[name] for name in ("camera_state", "pending_assessments")}
    begins = dict.fromkeys(INPUTS, BEGAN + 3)

    report = run.report(topics=cut, begins=begins, read_at=READ_AT)

    assert report.findings == ()
    assert "I7" in report.undecided


def half(run: Run) -> Report:
    """As a rolling audit reads it: the tables' rows too only from a time on."""
    whole = run.facts()
    cut = {name: tuple(e for e in entries if e.offset >= len(entries) // 2) for name, entries in whole.topics.items()}
    return run.report(topics=cut, begins=dict.fromkeys(cut, BEGAN + 3))


def test_with_the_older_rows_unread_too_the_rest_is_judged(run: Run):
    report = half(run)

    assert report.findings == ()
    assert report.checked["I1"] > 0


def test_a_detection_that_no_row_saw_is_found_also_with_the_older_rows_unread(run: Run):
    extra = a_run(Load(cameras=1, fps=1.0, seconds=6, groups=2, session="s1")).topics["detection_results"][-1]
    run.send("detection_results", "load-0001", extra.value or b"")

    assert [finding.id for finding in half(run).findings] == ["load-0001:s1:6"]
