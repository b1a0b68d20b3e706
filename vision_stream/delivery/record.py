"""A message as a handler sees it: raw bytes and where they stood."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from faust.types import EventT
from faust.types.tuples import TP

from vision_stream.errors import MessageError


class Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    generation: int
    key: bytes | None
    value: bytes | None
    timestamp: float  # epoch seconds, as the producer or broker stamped it
    headers: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, event: EventT) -> Record:
        m = event.message
        return cls(
            topic=m.topic,
            partition=m.partition,
            offset=m.offset,
            generation=m.generation_id or 0,
            key=m.key,
            value=m.value,
            timestamp=m.timestamp or 0.0,
            headers=tuple(m.headers or ()),  # pyright: ignore[reportArgumentType]  # aiokafka's pairs, not a mapping
        )

    def expect_key(self, camera_id: str) -> None:
        """The key decides the partition, and with it the worker that has the camera's row.

        Raises:
            MessageError: the key is not the camera id.
        """
        if self.key != camera_id.encode():
            raise MessageError(f"the key {self.key!r} is not the camera id {camera_id!r}")

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)

    @property
    def place(self) -> str:
        """For log lines: ``topic-partition@offset``."""
        return f"{self.topic}-{self.partition}@{self.offset}"


handled: ContextVar[Record | None] = ContextVar("handled", default=None)
"""The record that the running handler works on; None outside of handlers."""
