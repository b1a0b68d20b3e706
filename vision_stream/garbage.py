"""When Python looks for cycles of garbage, in a process that holds thousands of objects for as long as a call takes.

By default it looks each time 700 more objects live than at the last look. With 500 LLM calls in flight that many come
and go all the time, and none is garbage: a seventh of the CPU went into looking.
"""

from __future__ import annotations

import gc

# Objects, then looks of the generation before. More: each look takes longer than the millisecond that it may. Fewer: it
# is looked in vain.
THRESHOLDS = (5000, 20, 20)


def settle() -> None:
    """The process has started: what lives now lives to its end, and need not be looked at. Takes 0.1 s or so."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
