"""What a YOLO model puts out, as boxes, scores and classes. Pure NumPy; non-maximum suppression is OpenCV's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.errors import ConfigError


@dataclass(frozen=True)
class Found:
    """``n`` objects, the surest first."""

    boxes: NDArray[np.float32]  # (n, 4): x1 y1 x2 y2 in pixels of the model's input
    scores: NDArray[np.float32]  # (n,)
    classes: NDArray[np.int64]  # (n,)


def read_head(
    output: NDArray[np.floating],
    *,
    confidence: float,
    iou: float,
    keep: NDArray[np.int64],
    classes: int,
    limit: int,
) -> Found:
    """Objects in a model's output for one picture.

    Args:
        output: (1, 4 + classes, n), centre, size and class scores, of YOLO v8 and 11: suppression is done here; or
            (1, n, 6), corners, score and class, of YOLO 26 and of models exported with nms: it is done.
        keep: class ids to report.
        classes: how many the model has; 0 where it does not say.

    Raises:
        ConfigError: the shape is neither.
    """
    rows = output[0] if output.ndim == 3 and output.shape[0] == 1 else None
    if rows is None:
        found = None
    elif rows.shape[1] == 6:  # no model has as few as 6 candidates: the smallest input gives 21
        found = _end_to_end(rows, confidence, keep)
    elif rows.shape[0] == 4 + classes or (classes == 0 and rows.shape[0] > 4):
        found = _suppressed(_candidates(rows, confidence, keep), iou)
    else:
        found = None
    if found is None:
        raise ConfigError(
            f"model.path: an output of shape {output.shape} is not that of a YOLO detection model",
            remedy="export one with: yolo export format=onnx (task detect, YOLO v8 or later)",
        )
    first = np.argsort(-found.scores, kind="stable")[:limit]
    return Found(found.boxes[first], found.scores[first], found.classes[first])


def _candidates(rows: NDArray[np.floating], confidence: float, keep: NDArray[np.int64]) -> Found:
    best = rows[4:].argmax(axis=0)
    scores = rows[4:].max(axis=0)
    sure = np.flatnonzero((scores > confidence) & np.isin(best, keep))
    centre_x, centre_y, width, height = rows[:4, sure].astype(np.float32)
    corners = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
    return Found(np.stack(corners, axis=1), scores[sure].astype(np.float32), best[sure])


def _suppressed(found: Found, iou: float) -> Found:
    """Without those that overlap a surer one of their own class by more than ``iou``."""
    if len(found.scores) == 0:
        return found
    sizes = found.boxes.copy()
    sizes[:, 2:] -= sizes[:, :2]  # OpenCV wants x, y, width, height
    kept = cv2.dnn.NMSBoxesBatched(sizes.tolist(), found.scores.tolist(), found.classes.tolist(), 0.0, iou)
    chosen = np.asarray(kept, dtype=np.int64).reshape(-1)
    return Found(found.boxes[chosen], found.scores[chosen], found.classes[chosen])


def _end_to_end(rows: NDArray[np.floating], confidence: float, keep: NDArray[np.int64]) -> Found:
    classes = rows[:, 5].astype(np.int64)
    sure = np.flatnonzero((rows[:, 4] > confidence) & np.isin(classes, keep))
    return Found(rows[sure, :4].astype(np.float32), rows[sure, 4].astype(np.float32), classes[sure])
