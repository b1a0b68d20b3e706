"""Money: booked before a call, corrected after it, kept over processes and restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from tests.llm_parts import a_task, keys_for
from tests.unit.test_llm_scheduler import a_scheduler, a_simulator, assess_all
from vision_stream import metrics
from vision_stream.llm.budget import Budget
from vision_stream.llm.chat import Answer
from vision_stream.llm.spending import Books, DayBook
from vision_stream.messages import Assessed, Expired
from vision_stream.settings import BudgetSettings, KeySettings, LLMSettings, PriceSettings

PRICE = PriceSettings(model="vision-sim", input_per_million=10.0, output_per_million=100.0)


def settings(per_day: float | None = None, per_camera: float | None = None, **more: Any) -> LLMSettings:
    budget = BudgetSettings(per_day=per_day, per_camera_per_day=per_camera)
    return LLMSettings(prices=(PRICE,), budget=budget, max_output_tokens=100, **more)


def a_budget(directory=None, *, at: float = 0.0, **limits: float) -> Budget:
    return Budget(settings(**limits), directory, clock=lambda: at)  # a call of 1,000 tokens: 0.01 and 0.01


def test_a_call_that_would_go_over_the_days_budget_is_not_made():
    budget = a_budget(per_day=0.05)
    assert [budget.book(f"cam-{n}", "vision-sim", 1000) is not None for n in range(3)] == [True, True, False]
    assert not budget.allows("cam-9", 1000)


def test_one_camera_over_its_budget_leaves_the_others_alone():
    budget = a_budget(per_camera=0.03)
    assert budget.book("cam-01", "vision-sim", 1000)
    assert budget.book("cam-01", "vision-sim", 1000) is None
    assert budget.book("cam-02", "vision-sim", 1000)


def test_what_a_call_cost_takes_the_place_of_what_it_could_cost():
    budget = a_budget(per_day=0.03)
    booked = budget.book("cam-01", "vision-sim", 1000)
    assert booked is not None
    assert not budget.allows("cam-01", 1000)
    budget.settle(booked, Answer(content="", model="", finish_reason="stop", input_tokens=500, output_tokens=10))
    assert budget.allows("cam-01", 1000)


def test_a_call_that_was_refused_costs_nothing():
    budget = a_budget(per_day=0.02)
    booked = budget.book("cam-01", "vision-sim", 1000)
    assert booked is not None
    budget.take_back(booked)
    assert budget.book("cam-01", "vision-sim", 1000)


def test_a_new_day_has_a_new_budget_and_an_answer_after_midnight_is_of_the_old_one():
    now = [86_399.0]
    budget = Budget(settings(per_day=0.02), None, clock=lambda: now[0])
    booked = budget.book("cam-01", "vision-sim", 1000)
    assert booked is not None
    now[0] = 86_401.0
    budget.settle(booked, Answer(content="", model="", finish_reason="stop", input_tokens=9000, output_tokens=900))
    assert budget.book("cam-01", "vision-sim", 1000)


def test_processes_of_a_host_spend_from_one_budget_and_a_restart_forgets_nothing(tmp_path):
    one, other = a_budget(tmp_path, per_day=0.05), a_budget(tmp_path, per_day=0.05)
    assert one.book("cam-01", "vision-sim", 1000)
    assert other.book("cam-02", "vision-sim", 1000)
    assert one.book("cam-03", "vision-sim", 1000) is None
    del one, other
    assert a_budget(tmp_path, per_day=0.05).book("cam-01", "vision-sim", 1000) is None


@given(st.lists(st.tuples(st.sampled_from([f"cam-{n}" for n in range(40)]), st.floats(0, 5)), max_size=80))
def test_the_book_of_a_day_is_the_sum_of_its_bookings_and_never_over(bookings):
    book, by_camera = DayBook(), dict[str, float]()
    for camera_id, amount in bookings:
        if book.add(camera_id, amount, 50.0, 8.0) is None:
            by_camera[camera_id] = by_camera.get(camera_id, 0.0) + amount
    assert book.total == pytest.approx(sum(by_camera.values()))
    assert book.total <= 50.0
    assert all(book.of(camera_id) == pytest.approx(spent) and spent <= 8.0 for camera_id, spent in by_camera.items())


def test_a_process_alone_begins_each_day_at_nothing():
    books = Books(None)
    books.of("2026-01-01").correct("cam-01", 1.0)
    assert books.of("2026-01-02").total == 0.0


def test_a_budget_without_a_price_for_each_model_is_an_error():
    key = KeySettings(id="key-001", api_key="sk-canary", model="other")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="a budget, but no price for other"):
        settings(per_day=1.0, keys=(key,))


async def test_over_budget_a_task_ends_as_expired_for_that_and_costs_no_call():
    budget = {"prices": (PRICE,), "budget": BudgetSettings(per_day=0.12), "max_output_tokens": 100}
    before = metrics.llm_over_budget.labels("day")._value.get()
    async with a_simulator(latency_s=0.2) as simulator, a_scheduler(keys_for(simulator), **budget) as scheduler:
        with capture_logs() as logs:
            at_once = await assess_all(scheduler, [a_task(n) for n in range(12)])
            began = asyncio.get_running_loop().time()
            later = [await scheduler.assess(a_task(n)) for n in range(20, 60)]
            took = asyncio.get_running_loop().time() - began
    outcomes = [*at_once, *later]
    assessed = [outcome for outcome in outcomes if isinstance(outcome, Assessed)]
    expired = [outcome for outcome in outcomes if isinstance(outcome, Expired)]
    assert len(assessed) + len(expired) == len(outcomes)
    assert {outcome.reason for outcome in expired} == {"budget"}
    assert len(simulator.calls) == len(assessed) > 1
    spent = sum((10 * call.input_tokens + 100 * call.output_tokens) / 1e6 for call in simulator.calls)
    assert 0.06 < spent <= 0.12
    assert took < 10.0
    assert metrics.llm_over_budget.labels("day")._value.get() > before
    assert len([log for log in logs if "budget is spent" in log["event"]]) == 1
