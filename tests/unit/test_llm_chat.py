"""A request's body, put together from parts that are encoded once, is the JSON of the body that it stands for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_stream.llm.chat import MODES, Mode, Request, encoded_body, request_body
from vision_stream.llm.prompts import Prompt

PICTURES = st.one_of(st.none(), st.binary(min_size=1), st.binary().map(lambda tail: b"\x89PNG" + tail))


@given(facts=st.text(), picture=PICTURES, mode=st.sampled_from(MODES))
def test_whatever_is_asked_the_quick_body_is_the_same(facts, picture, mode):
    request = Request(prompt=Prompt("the rules", facts, picture), model="vision-sim", mode=mode)
    assert encoded_body(request) == msgspec.json.encode(request_body(request))


@pytest.mark.parametrize("mode", MODES)
def test_another_schema_or_model_is_not_taken_for_the_last_one(mode: Mode):
    prompt = Prompt("the rules", "the facts", b"a picture")
    for model in ("one", 'two"}'):
        others: list[dict[str, Any]] = [
            {"schema": {"type": "object"}, "schema_name": "check"},
            {"max_output_tokens": 20},
        ]
        for options in ({}, *others):
            request = Request(prompt=prompt, model=model, mode=mode, **options)
            assert encoded_body(request) == msgspec.json.encode(request_body(request))
