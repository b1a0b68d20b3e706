"""An operator's word on all keys, beside those on one."""

from __future__ import annotations

import pytest

from vision_stream.llm.cooldowns import ALL_KEYS, Cooldown, operator_row
from vision_stream.llm.sharing import _word


def word(*, disabled: bool, at: float) -> Cooldown:
    return Cooldown(disabled=disabled, at=at)


@pytest.mark.parametrize(
    ("on_all", "on_one", "disabled"),
    [
        (None, None, None),
        (word(disabled=True, at=2), None, True),
        (word(disabled=True, at=2), word(disabled=False, at=3), True),
        (word(disabled=False, at=3), word(disabled=True, at=2), True),
        (word(disabled=False, at=3), word(disabled=False, at=2), False),
    ],
    ids=["none said", "paused", "paused, then the key enabled", "resumed, the key disabled before", "all enabled"],
)
def test_a_key_rests_while_either_word_disables_it(on_all: Cooldown, on_one: Cooldown, disabled: bool | None):
    said = {operator_row(ALL_KEYS): on_all, operator_row("a"): on_one}
    found = _word({row: each for row, each in said.items() if each is not None}, "a")
    assert (found.disabled if found else None) is disabled
