"""What the soak run judges by: its ledger, its figures, its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders import a_detection, a_group, assessed
from tests.soak import journal
from tests.soak.figures import level, slope
from tests.soak.journal import Journal
from tests.soak.ledger import GIVEN_UP_S, PATIENCE_S, REMEMBERED_S, Ledger
from tests.soak.report import report
from vision_stream.gating import CameraGate, gate
from vision_stream.messages import (
    Assessed,
    AssessmentTask,
    CameraAssessment,
    Detection,
    RiskLevel,
    StageTimes,
    max_risk,
)
from vision_stream.settings import GatingSettings

DETECTION = a_detection(a_group(0), a_group(1), captured_at=1000.0)
NOW = 1002.0


def tasks_of(detection: Detection) -> tuple[AssessmentTask, ...]:
    return gate(CameraGate(), detection, GatingSettings(), task_deadline_s=30).tasks


def outcomes_of(*levels: RiskLevel) -> tuple[Assessed, ...]:
    return tuple(assessed(level, index=n, group_count=len(levels)) for n, level in enumerate(levels))


def a_join(*outcomes: Assessed, **fields: Any) -> CameraAssessment:
    whole = {
        "request_id": outcomes[0].request_id,
        "camera_id": outcomes[0].camera_id,
        "assessments": outcomes,
        "group_count": len(outcomes),
        "max_risk_level": max_risk([outcome.risk_level for outcome in outcomes]),
        "complete": True,
        "times": StageTimes(captured_at=1000.0, detected_at=1000.0),
    }
    return CameraAssessment(**{**whole, **fields})


def through(ledger: Ledger, *, skip: str = "", join: CameraAssessment | None = None) -> None:
    """Everything of ``DETECTION`` as the topics would say it, but for what is skipped."""
    ledger.sending(DETECTION, new=True)
    if skip != "detection":
        ledger.detection(DETECTION.detection_id)
    tasks, outcomes = tasks_of(DETECTION), outcomes_of("low", "high")
    for task in tasks[1:] if skip == "task" else tasks:
        ledger.task(task)
    for outcome in outcomes[1:] if skip == "outcome" else outcomes:
        ledger.outcome(outcome, NOW)
    if skip != "join":
        ledger.join(join or a_join(*outcomes))


def test_a_detection_that_went_all_the_way_leaves_nothing_behind():
    ledger = Ledger()

    through(ledger)
    ledger.sweep(NOW + REMEMBERED_S + 1)

    assert ledger.under_way == 0
    assert ledger.findings == []
    assert ledger._settled == {}


@pytest.mark.parametrize("skip", ["detection", "task", "outcome", "join"])
def test_what_is_missing_is_under_way_at_first_and_lost_after_a_while(skip):
    ledger = Ledger()
    through(ledger, skip=skip)

    ledger.sweep(NOW)
    assert ledger.open_before(NOW)[skip] == 1
    assert ledger.counts["lost"] == 0

    ledger.sweep(1000.0 + GIVEN_UP_S + 1)
    assert ledger.counts["lost"] == 1
    assert ledger.under_way == 0


def test_what_was_stuck_and_came_is_found_once_and_not_lost():
    ledger = Ledger()
    through(ledger, skip="join")
    ledger.sweep(1000.0 + PATIENCE_S + 1)
    ledger.sweep(1000.0 + PATIENCE_S + 2)

    ledger.join(a_join(*outcomes_of("low", "high")))

    assert (ledger.counts["stuck"], ledger.counts["findings"], ledger.counts["lost"]) == (1, 1, 0)
    assert ledger.under_way == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_risk_level": "low"}, "maximum"),
        ({"assessments": outcomes_of("low", "high")[:1]}, "complete"),
        ({"assessments": (*outcomes_of("low", "high"), assessed("high", index=1, group_count=2))}, "twice"),
        ({"assessments": outcomes_of("medium", "high")}, "verdict"),
    ],
    ids=["wrong maximum", "incomplete", "a group twice", "another verdict"],
)
def test_a_join_that_is_not_its_outcomes_is_found(fields, said):
    ledger = Ledger()

    through(ledger, join=a_join(*outcomes_of("low", "high"), **fields))

    assert [said in finding for finding in ledger.findings] == [True]


def test_the_same_again_is_counted_and_another_join_is_found():
    ledger = Ledger()
    through(ledger)

    through_again = outcomes_of("low", "high")
    ledger.outcome(through_again[0], NOW)
    ledger.join(a_join(*through_again))
    assert ledger.findings == []
    assert (ledger.counts["outcomes again"], ledger.counts["joins again"]) == (1, 1)

    ledger.join(a_join(*outcomes_of("low", "none")))
    assert len(ledger.findings) == 1


def test_a_group_that_the_gate_sent_unasked_must_go_all_the_way_too():
    ledger = Ledger()
    ledger.sending(DETECTION, new=False)
    ledger.detection(DETECTION.detection_id)
    assert ledger.under_way == 0

    ledger.task(tasks_of(DETECTION)[0])

    assert ledger.open_before(NOW) == {"task": 1}


def test_a_join_that_is_read_before_its_tasks_waits_for_them():
    ledger = Ledger()
    ledger.sending(DETECTION, new=False)
    outcomes = outcomes_of("low", "high")
    for outcome in outcomes:
        ledger.outcome(outcome, NOW)
    ledger.join(a_join(*outcomes))
    assert ledger.open_before(NOW)["task"] == 1

    for task in tasks_of(DETECTION):
        ledger.task(task)

    assert (ledger.under_way, ledger.counts["tasks again"], ledger.findings) == (1, 0, [])  # 1: its detection's own


def test_recovery_counts_from_the_first_detection_after_the_fault():
    ledger = Ledger()
    ledger.sending(DETECTION, new=True)
    mark = ledger.begin_recovery(at=1000.5)

    ledger.outcome(assessed(captured_at=1000.0), now=1003.0)
    assert mark.first_s is None
    ledger.outcome(assessed(captured_at=1001.0, sequence=2), now=1004.0)

    assert (mark.first_s, mark.all_s) == (3.5, 3.5)


def points(*, per_h: float, minutes: int = 30, begin: float = 100.0, at: float = 0.0) -> list[tuple[float, float]]:
    return [(at + 10 * n, begin + per_h * n / 360) for n in range(minutes * 6)]


def test_the_slope_is_that_within_lives_whatever_lies_between_them():
    lives = [points(per_h=2.0), points(per_h=2.0, begin=50.0, at=10_000)]
    lives[0][40] = (400.0, 900.0)

    found = slope(lives, warm_up_s=300)

    assert found is not None
    assert found.per_h == pytest.approx(2.0, abs=0.05)
    assert found.lives == 2


def test_a_life_that_is_over_before_it_has_warmed_up_has_no_slope():
    assert slope([points(per_h=100.0, minutes=9)], warm_up_s=300) is None


@pytest.mark.parametrize(("per_h", "flat"), [(0.0, True), (6.0, True), (60.0, False)])
def test_a_level_is_flat_where_it_ends_about_where_it_began(per_h, flat):
    found = level(points(per_h=per_h, minutes=60), warm_up_s=0)

    assert found is not None
    assert found.flat is flat


def a_run(directory: Path, *, growth_mb_h: float = 0.0, lost: int = 0) -> None:
    written = Journal(directory)
    written.write("began", minutes=30, per_s=100, every_s=300, seed=1, warm_up_s=0, commit="abc", machine="a machine")
    for _, value in points(per_h=growth_mb_h):
        for process in ("a", "b", "gateway"):
            written.write("sample", process=process, pid=1, anon_mb=value, rss_mb=value, tasks=5, threads=3,
                          descriptors=9, connections=4)  # fmt: skip
        written.write("state", redis_keys=9, redis_mb=1.0, rows={"camera_state": 5}, rebalancing=False,
                      lag={"detection_results": 0}, counts={"lost": lost}, sent=1, under_way=0, viewers={})  # fmt: skip
    written.close()


def moved_apart(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As if ten seconds had passed between two rounds of samples."""
    rounds = 0
    for line in lines:
        rounds += line["kind"] == "state"
        line["at"] = 1000.0 + 10 * rounds
    return lines


@pytest.mark.parametrize(
    ("run", "said"),
    [({}, []), ({"growth_mb_h": 3.0}, ["grows by 3.00 MB/h"] * 2), ({"lost": 2}, ["2 lost"])],
    ids=["sound", "growing", "losing"],
)
def test_the_verdict_names_what_is_wrong(tmp_path, run, said):
    a_run(tmp_path, **run)

    page, wrong = report(moved_apart(journal.read(tmp_path)))

    assert len(wrong) == len(said)
    assert all(expected in found for expected, found in zip(said, wrong, strict=True))
    assert ("Passed." in page) == (not wrong)


def test_a_run_that_was_cut_off_in_the_middle_of_a_line_is_reported(tmp_path):
    a_run(tmp_path)
    whole = (tmp_path / journal.FILE).read_bytes()
    (tmp_path / journal.FILE).write_bytes(whole[:-20])

    page, _ = report(moved_apart(journal.read(tmp_path)))

    assert "cut off" in page
