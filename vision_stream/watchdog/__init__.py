"""Does this worker make progress? Judged beside it, by a thread of its own; where it makes none, the worker ends.

    view     what the worker knows of itself, and what the brokers say of it
    judge    views in, trouble out, with the time as an argument (pure)
    witness  the brokers' side, asked by a client of its own: the worker's own may be what hangs
    guard    the thread: look, judge, tell, and at last end the process for its supervisor to start it again

Kinds of trouble: ``stalled``, nothing is read; ``wedged``, what was read is not committed; ``recovery``, a table's
recovery stands still; ``group``, the worker is in no group for too long; ``loop``, the event loop hangs.
Beside them the guard ends a worker whose topics got other numbers of partitions than it is configured for.
"""

from vision_stream.watchdog.guard import Guard

__all__ = ["Guard"]
