"""The cooldowns of the API keys, shared by all schedulers: a board on a table that every worker has whole.

It reaches the other workers in about 10 ms, and is not atomic: each worker's own pool stays the authority, and what
others say is merged in by maximum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from tables.rows import Rows
from vision_stream.app import app
from vision_stream.background import Background
from vision_stream.delivery.changelog import owned
from vision_stream.llm.cooldowns import Cooldown, Listeners, merge

CLOSE_WITHIN_S = 1.0  # a worker ends within seconds


class _Row(Cooldown, frozen=True, kw_only=True):
    """A cooldown with nothing said yet, where a row is missing."""

    at: float = 0.0


_listeners = Listeners()


async def _changed(_: Any) -> None:
    asyncio.get_running_loop().call_soon(_listeners.tell)  # it is applied when this has returned


# Without recovery_buffer_size=1 a change waits in a buffer of 1,000; without the partitioner it could be written from
# inside a stream alone; with more partitions a recovery may never end.
_table = app.GlobalTable(
    "key_cooldowns",
    partitions=1,
    recovery_buffer_size=1,
    use_partitioner=True,
    key_type=bytes,
    value_type=bytes,
    on_changelog_event=_changed,
)
_rows = Rows(_table, _Row)


class TableCooldowns:
    """``llm.cooldowns.CooldownBoard`` on the table.

    A call goes on when the handler that began it is broken off, so the rows that it writes are delivered by the board.
    """

    def __init__(self) -> None:
        self._background = Background()

    def read(self) -> Mapping[str, Cooldown]:
        return {key_id: _rows.read(key_id) for key_id in _rows}

    def write(self, key_id: str, cooldown: Cooldown) -> None:
        known = _rows.read(key_id) if key_id in _rows else None
        merged = merge(known, cooldown)
        if merged != known:
            row = _Row(**{name: getattr(merged, name) for name in Cooldown.__struct_fields__})
            with owned(self._background, name=f"cooldown of {key_id} is delivered"):
                _rows.write(key_id, row)

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        return _listeners.add(changed)

    async def close(self) -> None:
        """What is on its way may still arrive; without the broker it is not waited for long."""
        await self._background.settle(within_s=CLOSE_WITHIN_S)
        await self._background.close()
