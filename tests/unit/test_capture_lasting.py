"""Work that is to last begins again after an error, and ever later while it goes on failing."""

from __future__ import annotations

import pytest

from workers.capture.lasting import STEADY_S, lasting


class Story:
    """What a run of ``lasting`` did, by a clock of its own."""

    def __init__(self, *lasts_s: float) -> None:
        """The work fails after each of these times, and then ends."""
        self.now = 0.0
        self.waits: list[float] = []
        self.errors: list[str] = []
        self._lasts_s = iter(lasts_s)

    async def run(self) -> None:
        await lasting(self._work, self._failed, chance=lambda: 1.0, sleep=self._sleep, clock=lambda: self.now)

    async def _work(self) -> None:
        after = next(self._lasts_s, None)
        if after is not None:
            self.now += after
            raise ValueError(f"after {after:g} s")

    async def _failed(self, error: Exception) -> None:
        self.errors.append(str(error))

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


async def test_work_that_ends_is_not_begun_again():
    story = Story()
    await story.run()
    assert (story.waits, story.errors) == ([], [])


async def test_each_error_is_told_and_the_waits_grow_to_a_bound():
    story = Story(*[1.0] * 9)
    await story.run()
    assert story.errors == ["after 1 s"] * 9
    assert story.waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


async def test_an_error_after_a_steady_time_counts_as_the_first():
    story = Story(1.0, 1.0, STEADY_S + 1, 1.0)
    await story.run()
    assert story.waits == [0.5, 1, 0.5, 1]


async def test_what_the_teller_raises_ends_it():
    story = Story(1.0)

    async def no_more(error: Exception) -> None:
        raise error

    story._failed = no_more  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="after 1 s"):
        await story.run()
