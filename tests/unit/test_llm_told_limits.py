"""A key's limit as its endpoint's headers say it: by the second or the minute, and nothing else is read into them."""

from __future__ import annotations

import pytest

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import Pictures, a_simulator
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.learned_limits import LearnedLimits
from vision_stream.llm.limits import key_limits
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.llm.told_limits import ToldLimit, told_limit
from vision_stream.messages import Assessed
from vision_stream.settings import LLMSettings, SchedulerSettings


def headers(limit: str, left: str, reset: str) -> dict[str, str]:
    values = {"limit": limit, "remaining": left, "reset": reset}
    return {f"x-ratelimit-{name}-requests": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (headers("60", "59", "1s"), ToldLimit(60, "minute")),
        (headers("500", "499", "120ms"), ToldLimit(500, "minute")),
        (headers("60", "0", "55s"), ToldLimit(60, "minute")),
        (headers("20", "19", "50ms"), ToldLimit(20, "second")),
        (headers("14400", "14370", "2m59.56s"), None),
        (headers("60", "60", "0s"), None),
        (headers("60", "59", "soon"), None),
        (headers("nan", "59", "1s"), None),
        ({}, None),
    ],
    ids=["a minute's", "OpenAI's", "used up", "a second's", "a day's", "unused", "unreadable", "no number", "nothing"],
)
def test_what_headers_say(said, told):
    assert told_limit(said) == told


def test_what_is_told_is_the_limit_at_once():
    limits = LearnedLimits(jitter_s=0.0)
    limits.told(ToldLimit(60, "minute"))
    assert [(window.limit, window.span_s) for window in limits.windows] == [(60, 60.0)]


def test_what_is_told_again_does_not_undo_what_refusals_say():
    limits = LearnedLimits()
    limits.told(ToldLimit(100, "second"))
    limits.refused(1000.0, 0.5)
    (shrunk,) = [window.limit for window in limits.windows]
    limits.told(ToldLimit(100, "second"))
    assert [window.limit for window in limits.windows] == [shrunk] == [95]
    limits.told(ToldLimit(200, "second"))
    assert [window.limit for window in limits.windows] == [200], "a raised limit is taken"


def test_a_configured_limit_stays():
    limits = key_limits(5, None)
    limits.told(ToldLimit(100, "second"))
    assert [window.limit for window in limits.windows] == [5]


async def test_a_scheduler_takes_the_limit_from_the_first_answer(tmp_path):
    async with a_simulator("a") as simulator:
        simulator.fault("slow", delay_s=0.0, headers=headers("60", "59", "1s"))
        llm = LLMSettings(keys=keys_for(simulator), learn_limits=True)
        scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), limits_dir=tmp_path)
        await scheduler.start()
        outcome = await scheduler.assess(a_task())
        await scheduler.close()
    assert isinstance(outcome, Assessed)
    (file,) = tmp_path.glob("*.learned")
    assert file.read_bytes() == b'{"second":null,"minute":60}'
