from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_detection, a_group, assessed, failed
from vision_stream.errors import MessageError
from vision_stream.messages import (
    AssessmentTask,
    CameraMessage,
    DeadLetter,
    Detection,
    GroupAssessment,
    InlineEvidence,
    NoEvidence,
    decode,
    encode,
    max_risk,
    without_picture,
)


def test_a_detection_survives_the_wire():
    detection = a_detection(a_group(0, evidence=InlineEvidence(jpeg=b"\xff\xd8")), a_group(1))

    assert decode(encode(detection), Detection) == detection


def test_the_outcome_tells_what_it_is():
    assert decode(encode(assessed("high")), GroupAssessment) == assessed("high")
    assert b'"outcome":"failed"' in encode(failed())


def test_a_failed_assessment_has_no_risk_level():
    assert b"risk_level" not in encode(failed())


def test_unknown_fields_are_ignored():
    payload = encode(a_detection()).replace(b'{"detection_id"', b'{"from_the_future":1,"detection_id"', 1)

    assert decode(payload, Detection) == a_detection()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "not a Detection"),
        (None, "not a Detection"),
        (b"\xff\xfe", "not a Detection"),
        (b"[" * 100_000, "not a Detection"),
        (encode(a_detection()).replace(b'"schema_version":1', b'"schema_version":2'), "schema_version"),
        (
            encode(a_detection(a_group(0))).replace(b'"mean_confidence":0.9', b'"mean_confidence":1.9'),
            "mean_confidence",
        ),
        (encode(a_detection(a_group(0))).replace(b'"index":0', b'"index":1'), "group indexes"),
        (encode(a_detection(a_group(0))).replace(b'"box":[80', b'"box":[999'), "corners"),
        (encode(a_detection()).replace(b'"camera_id":"cam-01"', b'"camera_id":"../cam"'), "camera_id"),
    ],
    ids=["empty", "null", "not UTF-8", "deep", "newer schema", "bound", "indexes", "box", "camera id"],
)
def test_what_cannot_be_read_says_why(payload: bytes | None, said: str):
    with pytest.raises(MessageError, match=said):
        decode(payload, Detection)


@given(
    st.binary(max_size=400), st.sampled_from([Detection, AssessmentTask, GroupAssessment, CameraMessage, DeadLetter])
)
def test_any_bytes_are_read_or_refused(payload: bytes, kind):
    with contextlib.suppress(MessageError):
        decode(payload, kind)


def test_an_outcome_carries_no_picture():
    kept = without_picture(a_group(0, evidence=InlineEvidence(jpeg=b"x")))

    assert kept.evidence == NoEvidence(reason="travelled inline")


def test_the_highest_of_nothing_is_unknown():
    assert max_risk([]) is None
    assert max_risk(["none", "medium", "low"]) == "medium"
