"""How a CPU's cores are shared out: a few threads for each picture, or a picture for each core.

Two pictures on a core each are looked at in less time than one after the other on both, as the threads of one inference
wait for each other at each layer. But a picture that only one core works on is answered later. So: as few threads as
answer in time. See docs/decisions/0012-batches.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ANSWER_S = 0.1  # a detection is on the screen at once; more threads than that takes would only cost frames a second


@dataclass(frozen=True)
class Sharing:
    threads: int  # of one inference
    at_once: int  # inferences beside each other


def share(cores: int, threads: int, alone_s: float) -> Sharing:
    """
    Args:
        threads: as the settings say; 0: as few as answer within ``ANSWER_S``, in powers of two.
        alone_s: what one thread takes for one picture.

    >>> share(8, 0, alone_s=0.012)
    Sharing(threads=1, at_once=8)
    >>> share(8, 0, alone_s=0.3)
    Sharing(threads=4, at_once=2)
    >>> share(8, 0, alone_s=3.0), share(8, 3, alone_s=0.3)
    (Sharing(threads=8, at_once=1), Sharing(threads=3, at_once=2))
    """
    chosen = threads or min(cores, _power_of_two(math.ceil(alone_s / ANSWER_S)))
    return Sharing(chosen, max(1, cores // chosen))


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()
