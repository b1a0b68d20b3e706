"""A table of encoded Structs by camera id, read and written whole."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct

from vision_stream.errors import MessageError
from vision_stream.messages import decode, encode

S = TypeVar("S", bound=Struct)
_log = structlog.get_logger(__name__)


class Rows(Generic[S]):
    """Nobody else touches the table, so nobody can change a value in place: Faust would not see it."""

    def __init__(self, table: Any, kind: type[S]) -> None:
        self._table: MutableMapping[bytes, bytes] = table
        self._kind = kind
        self._decoded: dict[bytes, tuple[bytes, S]] = {}  # frozen values, as long as the row is the same object

    def __iter__(self) -> Iterator[str]:
        return iter([key.decode() for key in list(self._table)])

    def read(self, camera_id: str) -> S:
        """The camera's row; the empty one where there is none, or none that can be read."""
        key = camera_id.encode()
        row = self._table.get(key)
        if row is None:
            return self._kind()
        known = self._decoded.get(key)
        if known is not None and known[0] is row:
            return known[1]
        value = self._decode(camera_id, row)
        self._decoded[key] = row, value
        return value

    def write(self, camera_id: str, value: S) -> None:
        """Replace the row, from inside a handler. What follows from the new one must be delivered before."""
        key, row = camera_id.encode(), encode(value)
        self._table[key] = row
        self._decoded[key] = row, value

    def _decode(self, camera_id: str, row: bytes) -> S:
        try:
            return decode(row, self._kind)
        except MessageError as error:  # of another version: begin anew rather than bury all that this camera sends
            _log.error("a table's row cannot be read", camera=camera_id, error=str(error))
            return self._kind()
