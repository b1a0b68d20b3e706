"""A backend's arrays as our objects: the door at which foreign shapes stop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vision_stream.messages import Box, DetectedObject

MOST_OBJECTS = 300  # of one picture, the surest first

Objects = tuple[DetectedObject, ...]  # of one picture


def to_objects(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    classes: NDArray[np.integer],
    names: Mapping[int, str],
) -> Objects:
    """Objects of boxes (n, 4) in pixels of the picture, scores (n,) and class ids (n,); empty boxes are left out.

    Pixels are rounded to tenths and scores to 4 places: more is noise, and doubles the message.
    """
    whole = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    found = zip(
        np.round(boxes[whole].astype(np.float64), 1).tolist(),
        np.clip(np.round(scores[whole].astype(np.float64), 4), 0, 1).tolist(),
        classes[whole].tolist(),
        strict=True,
    )
    return tuple(
        DetectedObject(
            object_id=number, label=names.get(int(kind), f"class {int(kind)}"), confidence=score, box=Box(*corners)
        )
        for number, (corners, score, kind) in enumerate(found)
    )
