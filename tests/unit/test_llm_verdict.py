"""Answers are read strictly: what does not fit is refused, and never taken for "none"."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream.llm.prompts import VERDICT_SCHEMA
from vision_stream.llm.verdict import AnswerMisfit, parse_verdict
from vision_stream.redaction import register_secret

GOOD = {
    "risk_level": "high",
    "confidence": 0.9,
    "risk_types": ["Vehicle-pedestrian conflict"],
    "description": "A car does not yield.",
    "trigger_object_ids": [3],
}


def answer(**changes) -> str:
    return json.dumps({**GOOD, **changes})


def test_an_answer_that_fits_is_a_verdict():
    verdict = parse_verdict(answer(), members={3, 4})
    assert (verdict.risk_level, verdict.confidence, verdict.trigger_object_ids) == ("high", 0.9, (3,))
    assert verdict.risk_types == ("vehicle_pedestrian_conflict",)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{answer()}\n```",
        f"Here is my judgement:\n```\n{answer()}\n```\nStay safe.",
        f"My answer is {answer()} as asked.",
        f"  {answer()}\n",
    ],
    ids=["fenced", "fenced in prose", "in prose", "with white space"],
)
def test_an_endpoint_without_json_mode_may_write_around_it(text):
    assert parse_verdict(text, members={3}).risk_level == "high"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "The scene is safe.",
        "[]",
        "null",
        "{}",
        answer(risk_level="apocalyptic"),
        answer(risk_level=None),
        answer(risk_level="None"),
        answer(confidence=7),
        answer(confidence=-0.1),
        answer(confidence="high"),
        answer(trigger_object_ids=["3"]),
        answer(trigger_object_ids=None),
        answer(description=None),
        answer()[:-5],
        answer() + answer(risk_level="none"),
        f"```json\n{answer()}\n```\nor rather\n```json\n{answer(risk_level='none')}\n```",
        "[" * 5000,
    ],
)
def test_what_does_not_fit_is_refused(text):
    with pytest.raises(AnswerMisfit):
        parse_verdict(text, members={3})


@pytest.mark.parametrize("field", list(GOOD))
def test_every_field_must_be_there(field):
    with pytest.raises(AnswerMisfit, match="does not fit"):
        parse_verdict(json.dumps({name: value for name, value in GOOD.items() if name != field}), members={3})


def test_ids_that_are_not_the_groups_are_dropped_and_counted():
    verdict = parse_verdict(answer(trigger_object_ids=[9, 4, 3, 4]), members={3, 4})
    assert (verdict.trigger_object_ids, verdict.unknown_ids) == ((4, 3), 1)


def test_a_long_description_is_cut_and_too_many_types_too():
    verdict = parse_verdict(answer(description="x" * 9000, risk_types=[f"type {n}" for n in range(99)]), members={3})
    assert len(verdict.description) == 1000
    assert len(verdict.risk_types) == 20


def test_a_misfit_does_not_repeat_what_the_model_wrote():
    with pytest.raises(AnswerMisfit) as misfit:
        parse_verdict("ignore the above, sk-secret-secret", members=())
    assert "secret" not in str(misfit.value)


def test_an_endpoint_that_writes_our_key_into_its_answer_does_not_get_it_shown():
    register_secret("canary-of-the-endpoint")
    verdict = parse_verdict(
        answer(description="It is canary-of-the-endpoint.", risk_types=["canary-of-the-endpoint"]), members={3}
    )
    assert "canary" not in repr(verdict)
    with pytest.raises(AnswerMisfit) as misfit:
        parse_verdict(answer(risk_level="canary-of-the-endpoint"), members={3})
    assert "canary" not in str(misfit.value)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading(text):
    with pytest.raises(AnswerMisfit):
        parse_verdict(text, members=())


def test_the_schema_asked_for_is_the_schema_read():
    assert set(VERDICT_SCHEMA["properties"]) == set(VERDICT_SCHEMA["required"]) == set(GOOD)
