from __future__ import annotations

import asyncio

import pytest

from tests.waiting import eventually


async def test_the_first_true_answer_is_returned():
    answers = iter([None, 0, "there"])
    assert await eventually(lambda: next(answers)) == "there"


async def test_a_coroutine_and_its_assertions_are_asked_again():
    asked = 0

    async def third_time() -> bool:
        nonlocal asked
        asked += 1
        assert asked >= 3
        return True

    assert await eventually(third_time)


async def test_the_limit_holds_and_says_what_was_said_last():
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: .*last: \[\]"):
        await eventually(list, within_s=0.05)


async def test_a_condition_that_never_answers_ends_at_the_limit():
    async def silent() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(AssertionError, match="a sign of life"):
        await eventually(silent, within_s=0.05, what="a sign of life")


async def test_an_error_of_the_condition_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        await eventually(lambda: 1 / 0)
