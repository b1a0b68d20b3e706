"""What is to be found in a picture, covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vision_stream.errors import ConfigError
from vision_stream.settings import Redacted
from workers.capture.privacy.cover import covered
from workers.capture.privacy.faces import Faces
from workers.capture.privacy.plates import Plates
from workers.capture.sources.base import Picture

Boxes = NDArray[Any]  # float, shape (n, 4): x1 y1 x2 y2 in pixels of the picture; may reach over its edge


class Finder(Protocol):
    """May be called by several threads at once."""

    def find(self, picture: Picture) -> Boxes: ...


class Redactor:
    """Of all cameras of a process; by any thread."""

    def __init__(self, finders: Mapping[Redacted, Finder]) -> None:
        self._finders = dict(finders)

    @property
    def kinds(self) -> tuple[Redacted, ...]:
        """What it looks for."""
        return tuple(self._finders)

    def redact(self, picture: Picture) -> Picture:
        """A copy in which all that was found is painted over.

        Raises:
            Exception: what a detector raised; the picture is not to be used then.
        """
        found = [finder.find(picture) for finder in self._finders.values()]
        return covered(picture, np.concatenate(found))


def open_redactor(kinds: Sequence[Redacted]) -> Redactor | None:
    """Load what finds ``kinds``, and try it once; None where nothing is to be covered.

    Raises:
        ConfigError: a package with a model is not installed, or its model is not the one that we know.
    """
    if not kinds:
        return None
    makers: dict[Redacted, type[Faces] | type[Plates]] = {"faces": Faces, "plates": Plates}
    finders: dict[Redacted, Finder] = {kind: makers[kind]() for kind in dict.fromkeys(kinds)}
    for kind, finder in finders.items():
        try:
            finder.find(np.zeros((64, 96, 3), np.uint8))
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this
            raise ConfigError(
                f"evidence.redact: the model for {kind} does not work: {str(error).splitlines()[0][:200]}",
                remedy="pip install --upgrade 'vision-stream[redaction]'",
            ) from error
    return Redactor(finders)
