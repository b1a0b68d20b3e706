"""``faust -A tests.faults.dying worker``: a worker that is killed between two lines of a handler.

DIE_TOPIC   what it is about to send or has just sent
DIE_WHEN    ``sending`` (nothing is on its way) or ``delivered`` (and the table not written)
DIE_AT      at which delivery, from 1
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from msgspec import Struct

from vision_stream.app import app
from vision_stream.delivery.produce import Outbox

__all__ = ["app"]

_topic = getattr(app.settings.kafka.topics, os.environ["DIE_TOPIC"]).name
_left = int(os.environ["DIE_AT"])
_deliver = Outbox.deliver


async def _deliver_and_die(self: Outbox, key: str, messages: Iterable[Struct]) -> None:
    global _left
    messages = list(messages)
    due = False
    if messages and self.topic == _topic:
        _left -= 1
        due = _left == 0
    if due and os.environ["DIE_WHEN"] == "sending":
        os.kill(os.getpid(), signal.SIGKILL)
    await _deliver(self, key, messages)
    if due:
        os.kill(os.getpid(), signal.SIGKILL)


Outbox.deliver = _deliver_and_die
