"""Rounds on their scenes, one after the other; a scene that a round has spoilt is made anew."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec.structs import replace

from tests.faults.suite import evidence
from tests.faults.suite.ledger import Record
from tests.faults.suite.plan import Round, blocks
from tests.faults.suite.row import Setting
from tests.faults.suite.run import FAILURES, audit_whole, not_begun, play
from tests.faults.suite.scene import open_scene
from tests.faults.suite.surroundings import missing

Say = Callable[[str], None]


async def play_all(planned: Sequence[Round], *, until: float | None = None, say: Say = print) -> AsyncIterator[Record]:
    """The record of each round, as it ends.

    Args:
        until: monotonic time from which on no round begins.
    """
    left_out = {one.row.name: why for one in planned if (why := missing(one.row))}
    for name, why in left_out.items():
        say(f"{name} is left out, as this machine cannot play it: {why}")
    for setting, block in blocks([one for one in planned if one.row.name not in left_out]):
        waiting = list(block)
        while waiting and not _over(until):
            async for record in _on_one_scene(setting, waiting, until, say):
                yield record


async def _on_one_scene(setting: Setting, waiting: list[Round], until: float | None, say: Say) -> AsyncIterator[Record]:
    """Play, and take out of ``waiting``, until that is empty, a round fails, or the time is up."""
    directory = Path(tempfile.mkdtemp(prefix="vision-stream-faults-"))
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        try:
            scene = await stack.enter_async_context(open_scene(setting, directory, waiting[0].seed))
        except FAILURES as error:
            yield not_begun(waiting.pop(0), error)
            return
        say(f"{setting} ready after {time.monotonic() - began:.1f} s")
        ends = False
        while not ends:
            record = await play(scene, *waiting.pop(0))
            ends = bool(record.failed) or not waiting or _over(until)
            if ends and not record.failed and (wrong := await audit_whole(scene)):
                record = replace(record, failed=f"when everything was audited again: {wrong}")
            if record.failed:
                say(f"kept in {await evidence.keep(scene, record)}; again: {again(record)}")
            yield record


def _over(until: float | None) -> bool:
    return until is not None and time.monotonic() >= until


def again(record: Record) -> str:
    return f"make faults ROWS={record.row} SEED={record.seed} ROUNDS=1"
