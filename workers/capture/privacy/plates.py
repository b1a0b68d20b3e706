"""Licence plates, as text: PP-OCRv4's text detector (Apache-2.0), which the package ``rapidocr-onnxruntime`` brings.

A plate that can be read is text, whatever its country, colour or number of lines. Signs and lettering are text too, and
go with it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.capture.privacy.models import fitted, model_file, open_model
from workers.capture.sources.base import Picture

MODEL = "models/ch_PP-OCRv4_det_infer.onnx"
TEXT = 0.3  # of the map: this pixel is text; the model's own default
SURE = 0.4  # on average over a piece of text; the model's own 0.5 passes over plates that are small or at an angle
GROWN = 1.6  # the model finds the core of a text, which is to be grown by area x this / circumference
LEAST_PX = 2  # of the map; specks


class Plates:
    """
    Raises:
        ConfigError: what it needs is not installed.
    """

    def __init__(self) -> None:
        self._session = open_model(str(model_file("rapidocr_onnxruntime", MODEL, kind="plates")))

    def find(self, picture: Picture) -> NDArray[np.float64]:
        """See ``Finder``; with a margin of half a plate's letters."""
        whole, factor = fitted(picture)
        height, width = whole.shape[:2]
        taken = cv2.dnn.blobFromImage(whole, 1 / 127.5, (width, height), mean=(127.5, 127.5, 127.5))
        (text,) = self._session.run(None, {"x": taken})
        return _texts(text[0, 0]) / factor


def _texts(likely: NDArray[np.floating]) -> NDArray[np.float64]:
    """The boxes of the texts in a map of how likely each pixel is one."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((likely > TEXT).astype(np.uint8), connectivity=8)
    boxes = []
    for label, (x, y, width, height, area) in enumerate(stats[1:].tolist(), start=1):
        inside = labels[y : y + height, x : x + width] == label
        mean = likely[y : y + height, x : x + width][inside].mean()
        if min(width, height) < LEAST_PX or mean < SURE:
            continue
        grown = area * GROWN / (2 * (width + height)) + 0.5 * min(width, height)
        boxes.append((x - grown, y - grown, x + width + grown, y + height + grown))
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
