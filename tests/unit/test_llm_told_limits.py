"""A key's limit as its endpoint's headers say it: by the second or the minute, and nothing else is read into them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import Pictures, a_simulator
from vision_stream.llm.cooldowns import MemoryCooldowns
from vision_stream.llm.learned_limits import LearnedLimits
from vision_stream.llm.limits import key_limits
from vision_stream.llm.scheduler import LLMScheduler
from vision_stream.llm.told_limits import Believer, SaidLimit, ToldLimit, said_limit
from vision_stream.messages import Assessed
from vision_stream.settings import LLMSettings, SchedulerSettings


def shapes(limits: LearnedLimits) -> list[tuple[int, float]]:
    return [(window.limit, round(window.span_s, 6)) for window in limits.windows]


def tell(limits: LearnedLimits, calls: int, *, window_s: float = 60.0) -> None:
    """As an endpoint does whose calls come back one by one."""
    for used in (1, 2):
        limits.told(SaidLimit(calls, used, used * window_s / calls))


def headers(limit: str, left: str, reset: str) -> dict[str, str]:
    values = {"limit": limit, "remaining": left, "reset": reset}
    return {f"x-ratelimit-{name}-requests": value for name, value in values.items()}


def answers(limit: int, *used_and_reset: tuple[int, float]) -> list[SaidLimit]:
    return [SaidLimit(limit, used, reset_s) for used, reset_s in used_and_reset]


def believed(said: list[SaidLimit], known: ToldLimit | None = None) -> ToldLimit | None:
    believer = Believer(known)
    for answer in said:
        believer.hear(answer)
    return believer.believed


@pytest.mark.parametrize(
    ("said", "per"),
    [
        (headers("60", "59", "1s"), "minute"),
        (headers("500", "499", "120ms"), "minute"),
        (headers("60", "0", "55s"), "minute"),
        (headers("20", "19", "50ms"), "second"),
        (headers("14400", "14370", "2m59.56s"), None),
    ],
    ids=["a minute's", "OpenAI's", "used up", "a second's", "a day's"],
)
def test_what_one_answer_would_mean_by_itself(said, per):
    answer = said_limit(said)
    assert answer is not None
    assert answer.per == per


@pytest.mark.parametrize(
    "said",
    [headers("60", "60", "0s"), headers("60", "59", "soon"), headers("nan", "59", "1s"), {}],
    ids=["unused", "unreadable", "no number", "nothing"],
)
def test_what_says_nothing_is_nothing(said):
    assert said_limit(said) is None


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        (answers(60, (1, 1.0), (2, 2.0)), ToldLimit(60, "minute")),
        (answers(500, (2, 0.24), (1, 0.12)), ToldLimit(500, "minute")),
        (answers(20, (1, 0.05), (4, 0.21)), ToldLimit(20, "second")),
        (answers(60, (1, 1.0)), None),
        (answers(60, (1, 1.0), (1, 1.0)), None),
        (answers(60, (1, 1.0), (2, 59.0), (2, 2.0)), None),
        (answers(60, (1, 1.0), (2, 2.0), (30, 0.5), (60, 1.0)), ToldLimit(60, "minute")),
        (answers(60, (30, 30.0), (50, 0.83), (25, 0.42)), None),
        (answers(60, (1, 1.0), (2, 2.0)) + answers(90, (1, 0.67), (2, 1.33)), ToldLimit(90, "minute")),
    ],
    ids=[
        "two of a minute",
        "the other way round",
        "two of a second",
        "one",
        "twice as much was never used",
        "another between them",
        "the same calls get no other unit",
        "in doubt it is no second",
        "raised",
    ],
)
def test_a_limit_is_believed_when_answers_of_different_use_agree(said, limit):
    assert believed(said) == limit


@settings(deadline=None)
@given(
    limit=st.integers(2, 20_000),
    window_s=st.sampled_from([60.0, 3600.0, 86_400.0]),
    rate=st.floats(0.001, 1.0),
    windows=st.integers(1, 3),
)
def test_a_window_that_ends_is_never_taken_for_a_second(limit, window_s, rate, windows):
    """An endpoint that forgets all at the window's end, asked steadily and up to its limit."""
    calls = max(2, int(limit * rate))
    every = [n for n in range(1, calls + 1) if n <= 40 or n > calls - 40]
    said = [SaidLimit(limit, n, window_s * (1 - (n - 0.5) / calls)) for _ in range(windows) for n in every]
    found = believed(said)
    assert found is None or found.per == "minute"
    assert window_s == 60.0 or found is None


def test_what_is_told_is_the_limit_once_it_is_believed():
    limits = LearnedLimits(jitter_s=0.0)
    tell(limits, 60)
    assert shapes(limits) == [(60, 60.0)]


def test_what_is_told_again_does_not_undo_what_refusals_say(tmp_path):
    limits = LearnedLimits(tmp_path / "key.learned", jitter_s=0.0)
    tell(limits, 100, window_s=1.0)
    limits.refused(1000.0, 0.5)
    assert shapes(limits) == [(95, 1.0)]
    tell(limits, 100, window_s=1.0)
    assert shapes(limits) == [(95, 1.0)]
    limits = LearnedLimits(tmp_path / "key.learned", jitter_s=0.0)
    tell(limits, 100, window_s=1.0)
    assert shapes(limits) == [(95, 1.0)], "nor after a restart"
    tell(limits, 200, window_s=1.0)
    assert shapes(limits) == [(200, 1.0)], "a raised limit is taken"


def test_a_process_takes_its_share_of_what_is_told(tmp_path):
    whole = LearnedLimits(tmp_path / "key.learned", jitter_s=0.0)
    tell(whole, 60)
    part = LearnedLimits(tmp_path / "key.learned", jitter_s=0.0, share=0.25)
    tell(part, 60)
    assert shapes(whole) == [(60, 60.0)]
    assert shapes(part) == [(15, 60.0)]


def test_a_told_limit_grows_back_to_what_was_told_and_no_further():
    limits = LearnedLimits()
    tell(limits, 50, window_s=1.0)
    limits.refused(999.0, 0.5)
    tops = set()
    for n in range(20_000):  # 200 s, as busy as it lets
        now = 1000.0 + n * 0.01
        if limits.free_at() <= now:
            slots = limits.reserve(now)
            assert slots is not None
            limits.stamp(slots, now)
        tops |= {limit for limit, _ in shapes(limits)}
    assert max(tops) == 50
    assert min(tops) < 50


def test_a_configured_limit_stays():
    limits = key_limits(5, None)
    for said in answers(100, (1, 0.01), (2, 0.02)):
        limits.told(said)
    assert [window.limit for window in limits.windows] == [5]


@pytest.mark.parametrize(("backend", "minute"), [("local", 30), ("file", 60)])
async def test_a_scheduler_takes_the_limit_from_two_answers(backend, minute, tmp_path):
    async with a_simulator("a") as simulator:
        llm = LLMSettings(keys=keys_for(simulator), learn_limits=True, limits_backend=backend, limits_share=0.5)
        scheduler = LLMScheduler(llm, SchedulerSettings(), Pictures(), MemoryCooldowns(), limits_dir=tmp_path)
        await scheduler.start()
        for left, reset in (("59", "1s"), ("58", "2s")):
            simulator.fault("slow", delay_s=0.0, times=1, headers=headers("60", left, reset))
            assert isinstance(await scheduler.assess(a_task()), Assessed)
        await scheduler.close()
    (file,) = tmp_path.glob("*.learned")
    assert msgspec.json.decode(file.read_bytes()) == {
        "second": None,
        "minute": minute,
        "told": {"calls": 60, "per": "minute"},
    }
