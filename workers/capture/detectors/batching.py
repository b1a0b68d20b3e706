"""How many pictures a detector should get together: what its device gains from, unless the settings say otherwise.

And which of them: only pictures that give inputs of one shape fit into a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_stream.settings import ModelSettings
from workers.capture.detectors.sharing import Sharing

GPU_BATCH = 16  # pictures. More fill a large GPU better, and let the first of them wait longer for the last
CPU_BATCH = 4  # threads have more to share in four pictures than in one; eight gain little more


@dataclass(frozen=True)
class Batching:
    most: int = 1  # pictures of one batch
    wait_s: float = 0.0  # how long an idle device waits for others
    at_once: int = 1  # batches beside each other


def batching_for(
    settings: ModelSettings, *, gpu: bool, one_by_one: bool = False, sharing: Sharing | None = None
) -> Batching:
    """
    Args:
        one_by_one: the model was exported for one picture at a time.
        sharing: of a CPU's cores; None: its threads are the library's.

    >>> batching_for(ModelSettings(), gpu=False)
    Batching(most=4, wait_s=0.0, at_once=1)
    >>> batching_for(ModelSettings(max_batch=8, batch_wait_ms=5), gpu=False, sharing=Sharing(threads=2, at_once=4))
    Batching(most=8, wait_s=0.005, at_once=4)
    """
    at_once = sharing.at_once if sharing is not None else 1
    if one_by_one:
        return Batching(at_once=at_once)
    alone = sharing is not None and sharing.threads == 1  # has nothing to share: a batch only fills its cache
    most = settings.max_batch or (GPU_BATCH if gpu else 1 if alone else CPU_BATCH)
    return Batching(most, settings.batch_wait_ms / 1000 if most > 1 else 0.0, at_once)


def alike(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Places in ``shapes`` of what is equal, in the order of first appearance.

    >>> alike([(256, 448), (256, 352), (256, 448)])
    [[0, 2], [1]]
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, shape in enumerate(shapes):
        places.setdefault(shape, []).append(place)
    return list(places.values())
