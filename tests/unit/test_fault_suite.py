"""The fault suite's own choices: which rounds, on which scenes, and the page made of them."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from tests.faults.rows import ROWS
from tests.faults.suite.ledger import INTRODUCTION, PAGE, Record, page, quantile, read
from tests.faults.suite.plan import BLOCK, affordable, blocks, choose, rounds
from tests.faults.suite.row import Row, Setting
from tests.faults.suite.scene import Scene

ALONE = Setting()


async def nothing(scene: Scene, rng: random.Random) -> None:
    """No fault."""


def a_row(name: str, setting: Setting = ALONE, about_s: float = 10.0) -> Row:
    return Row(name, f"title of {name}", nothing, 10.0, setting, about_s)


def a_record(row: str, seed: int, *, first_s: float | None = 1.0, failed: str = "") -> Record:
    return Record(
        row=row, seed=seed, at="2030-01-31T12:00Z", seconds=12.0, fault_s=1.0, first_s=first_s, all_s=first_s,
        detections=100, tasks=200, outcomes={"assessed": 200}, llm_repeated=seed, lost=0, failed=failed,
        commit="abc", versions="Kafka 4",
    )  # fmt: skip


def test_the_page_of_reliability_is_that_of_its_lines():
    assert PAGE.read_text() == page(ROWS, read(), INTRODUCTION.read_text()), "python -m tests.faults --page"


def test_recovery_is_that_of_the_newest_quiet_rounds_as_older_ones_timed_older_code():
    quiet = [replace(a_record("F1", n, first_s=9.0 if n < 3 else 1.0), load=1.5) for n in range(13)]

    assert "| 1.0 / 1.0 / 1.0 (10) " in page([a_row("F1")], quiet, "")
    assert "newest 10 of 13 quiet" in page([a_row("F1")], quiet, "")


def test_recovery_is_that_of_the_quiet_rounds_once_there_are_enough_of_them():
    busy = [replace(a_record("F1", n, first_s=30.0), load=9.0) for n in range(3)]
    quiet = [replace(a_record("F1", n, first_s=1.0), load=1.5) for n in range(5)]

    assert "| 30.0 / 30.0 / 30.0 (10) " in page([a_row("F1")], busy + quiet[:2], "")
    assert "| 1.0 / 1.0 / 1.0 (10) " in page([a_row("F1")], busy + quiet, "")


def test_every_row_of_the_issue_is_there():
    assert {row.family for row in ROWS} >= {f"F{n}" for n in range(1, 17)}


def test_no_two_rows_have_one_name():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_family_is_named_with_all_its_variants():
    rows = [a_row("F1"), a_row("F6.one-node"), a_row("F6.three-nodes")]

    assert [row.name for row in choose(rows, ["F6"])] == ["F6.one-node", "F6.three-nodes"]
    assert [row.name for row in choose(rows, ["F6.one-node", "F1"])] == ["F1", "F6.one-node"]


def test_a_row_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="no row F7; there are F1"):
        choose([a_row("F1")], ["F7"])


def test_the_variants_of_a_family_take_turns():
    planned = rounds([a_row("F6.b"), a_row("F6.a"), a_row("F1")], count=3, seed=7)

    names = [(one.row.name, one.seed) for one in planned]
    assert names == [("F1", 7), ("F1", 8), ("F1", 9), ("F6.a", 7), ("F6.b", 8), ("F6.a", 9)]


def test_rounds_of_equal_settings_share_a_scene_and_every_setting_has_its_turn():
    other = Setting(nodes=3)
    planned = rounds([a_row("F1"), a_row("F2"), a_row("F3", other)], count=BLOCK, seed=0)

    found = [(setting, [one.row.name for one in block]) for setting, block in blocks(planned)]

    assert found == [(Setting(), ["F1"] * BLOCK), (other, ["F3"] * BLOCK), (Setting(), ["F2"] * BLOCK)]


def test_a_private_scene_is_of_one_round():
    planned = rounds([a_row("F1", Setting(private=True))], count=2, seed=0)

    assert [len(block) for _, block in blocks(planned)] == [1, 1]


def test_what_is_affordable_counts_the_scenes_too():
    rows = [a_row("F1"), a_row("F2"), a_row("F3", Setting(nodes=3))]

    assert {row.name for row in affordable(rows, within_s=36.0, scene_s=15.0, rng=random.Random(0))} in (
        {"F1", "F2"},
        {"F3"},
    )


def test_the_rows_of_a_day_are_the_same_for_the_same_seed():
    chosen = [affordable(ROWS, within_s=200.0, scene_s=15.0, rng=random.Random(20300131)) for _ in range(2)]

    assert chosen[0] == chosen[1] != affordable(ROWS, within_s=200.0, scene_s=15.0, rng=random.Random(20300201))


def test_the_page_says_rounds_failures_and_recovery_of_each_row():
    records = [a_record("F1", n, first_s=float(n)) for n in range(1, 21)] + [a_record("F1", 21, failed="lost 3\nlog")]

    text = page([a_row("F1"), a_row("F2")], records, "# Reliability\n")

    assert "| F1 | title of F1 | 21 | 1 | 10.0 / 19.0 / 20.0 (10) | " in text
    assert "| F2 | title of F2 | 0 | 0 | - (10) | - | all 0 | - |  |" in text
    assert "F1, seed 21, at abc: lost 3\n" in text


@pytest.mark.parametrize(("share", "value"), [(0.5, 10), (0.95, 19), (1.0, 20)])
def test_a_quantile_is_a_value_that_was_measured(share: float, value: int):
    assert quantile(range(1, 21), share) == value
