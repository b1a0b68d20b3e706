"""500 schedules with crashes and freezes at any turn lose nothing; a schedule comes again; a mistake is caught."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation import Plan, simulate
from tests.simulation.mutations import ALL

SEEDS = 500
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_five_hundred_schedules_lose_nothing():
    failed = [outcome for seed in range(SEEDS) if not (outcome := simulate(seed)).ok]

    assert not failed, "\n".join(map(str, failed[:3]))


def test_the_schedules_have_crashes_zombies_and_both_numbers_of_workers():
    plans = [Plan.of(seed) for seed in range(SEEDS)]

    assert {plan.crashes for plan in plans} == {0, 1, 2, 3}
    assert {plan.workers for plan in plans} == {1, 2}
    events = [event for seed in range(20) for event in simulate(seed).events]
    assert sum("is killed" in event for event in events) >= 10
    assert sum("is expelled" in event for event in events) >= 5


def test_recoveries_read_what_compaction_left():
    assert {plan.compactions > 0 for plan in map(Plan.of, range(SEEDS))} == {True, False}
    assert sum(simulate(seed).compacted for seed in range(20)) >= 50


def test_a_seed_is_one_schedule():
    assert simulate(5).digest == simulate(5).digest
    assert simulate(5).digest != simulate(6).digest


def test_a_seed_is_the_same_schedule_in_another_process():
    said = subprocess.run(
        [sys.executable, "-c", "from tests.simulation import simulate; print(simulate(5).digest)"],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert said.stdout.strip() == simulate(5).digest


def test_zombies_and_what_arrives_from_dead_workers_after_others_took_over_harm_nothing():
    def late(seed: int) -> Plan:
        plan = Plan.of(seed)
        return replace(plan, crashes=3, freezes=3, detections=10, trouble=plan.trouble._replace(late=1.0))

    outcomes = [simulate(seed, plan=late(seed)) for seed in range(20)]

    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert not failed, "\n".join(map(str, failed[:3]))
    assert sum(outcome.report.counts.get("rows of former owners", 0) for outcome in outcomes) > 0


@pytest.mark.parametrize("mutate", ALL, ids=lambda mutation: mutation.__name__)
def test_a_mistake_is_caught_and_its_seed_fails_again(mutate):
    caught = next((seed for seed in range(200) if not simulate(seed, mutate=mutate).ok), None)

    assert caught is not None
    again = simulate(caught, mutate=mutate)
    assert again.report.findings
    assert simulate(caught).ok
