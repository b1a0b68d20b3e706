"""How many pictures a detector should get at once: what its device gains from, unless the settings say otherwise.

And which of them: only pictures that give inputs of one shape fit into a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_stream.settings import ModelSettings

GPU_BATCH = 16  # pictures. More fill a large GPU better, and let the first of them wait longer for the last
CPU_BATCH = 4  # ONNX Runtime's threads have more to share in four pictures than in one; eight gain little more


@dataclass(frozen=True)
class Batching:
    most: int = 1  # pictures at once
    wait_s: float = 0.0  # how long an idle device waits for others


def batching_for(settings: ModelSettings, *, gpu: bool, one_by_one: bool = False) -> Batching:
    """
    Args:
        one_by_one: the model was exported for one picture at a time.

    >>> batching_for(ModelSettings(), gpu=False)
    Batching(most=4, wait_s=0.0)
    >>> batching_for(ModelSettings(max_batch=8, batch_wait_ms=5), gpu=False)
    Batching(most=8, wait_s=0.005)
    """
    if one_by_one:
        return Batching()
    most = settings.max_batch or (GPU_BATCH if gpu else CPU_BATCH)
    return Batching(most, settings.batch_wait_ms / 1000 if most > 1 else 0.0)


def alike(shapes: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Places in ``shapes`` of what is equal, in the order of first appearance.

    >>> alike([(256, 448), (256, 352), (256, 448)])
    [[0, 2], [1]]
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for place, shape in enumerate(shapes):
        places.setdefault(shape, []).append(place)
    return list(places.values())
