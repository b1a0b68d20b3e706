from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.builders import assessed
from tests.runs import SETTINGS, a_run
from vision_stream.audit import Finding
from vision_stream.messages import CameraAssessment, StageTimes
from workers.demo.ledger import Ledger, ledger_of
from workers.demo.observer import Observed
from workers.demo.report import percentiles, report, stage_shares, text

ALL_WELL = Ledger(
    tasks=frozenset({"a", "b"}),
    outcomes={"a": "assessed", "b": "failed"},
    reasons={"500 from the endpoint": 1},
    repeated_outcomes=0,
    requests=frozenset({"r"}),
    joined=frozenset({"r"}),
)
TIMES = StageTimes(captured_at=100, detected_at=101, gated_at=102, called_at=103, answered_at=107, joined_at=108)


def joined(times: StageTimes = TIMES) -> CameraAssessment:
    return CameraAssessment(
        request_id="r",
        camera_id="cam-01",
        assessments=(assessed(),),
        group_count=1,
        max_risk_level="none",
        complete=True,
        times=times,
    )


def made(ledger: Ledger = ALL_WELL, detections: int = 5):
    observed = Observed(detection_delays=[0.1] * detections, assessments=[(110.0, joined())])
    observed.pushes["detection_result"] = detections
    return report(ledger, observed, started_at=90, ended_at=120, llm_calls=3)


def test_outcomes_are_counted_by_what_they_are():
    assert made().outcomes == {"assessed": 1, "failed": 1}


@pytest.mark.parametrize(
    ("ledger", "detections", "sound"),
    [
        (ALL_WELL, 5, True),
        (replace(ALL_WELL, outcomes={"a": "assessed"}), 5, False),
        (replace(ALL_WELL, joined=frozenset()), 5, False),
        (replace(ALL_WELL, findings=(Finding(invariant="I3", id="r", what="wrong"),)), 5, False),
        (ALL_WELL, 0, False),
        (replace(ALL_WELL, tasks=frozenset(), outcomes={}, requests=frozenset(), joined=frozenset()), 5, False),
    ],
    ids=[
        "all in",
        "a task without an outcome",
        "a request without a join",
        "a finding",
        "nothing was seen",
        "nothing was judged",
    ],
)
def test_it_is_sound_only_where_nothing_is_missing(ledger: Ledger, detections: int, sound: bool):
    assert made(ledger, detections).sound is sound


def test_each_stage_has_its_share_of_the_time():
    shares = stage_shares([(110.0, joined())])

    assert shares == {"detect": 0.1, "to task": 0.1, "wait for a key": 0.1, "LLM": 0.4, "join": 0.1, "push": 0.2}


def test_an_assessment_without_a_call_has_no_part_in_the_shares():
    assert stage_shares([(110.0, joined(replace(TIMES, called_at=None)))]) == {}


def test_percentiles_of_nothing_are_unknown():
    assert percentiles([]).p95 is None


def test_the_text_names_what_a_person_asks_for():
    said = text(made())

    assert "1 assessed, 1 failed" in said
    assert "1 x 500 from the endpoint" in said
    assert "p95 10.00 s" in said


def test_the_ledger_counts_what_the_auditor_reads():
    run = a_run()
    run.lose("risk_assessment_results", 0)

    ledger = ledger_of(run.facts(), SETTINGS)

    assert len(ledger.tasks) == 20
    assert ledger.by_outcome == {"assessed": 19}
    assert ledger.unanswered == {"load-0001:s1:1/0"}
    assert not ledger.unjoined
    assert {"I2", "I3"} <= {finding.invariant for finding in ledger.findings}
