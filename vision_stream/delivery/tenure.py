"""A table's partitions as this worker has them: whose they are, as whom it writes, and which rows count."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Generic, TypeVar

from vision_stream.fencing import MARKER, MARKER_VALUE, Epoch, Fence, Headers

Sent = TypeVar("Sent")


class Tenure(Generic[Sent]):
    """Of one table.

    Args:
        rows: the table's, of all partitions.
        post: sends a record to the changelog: partition, key, value, headers.
    """

    def __init__(
        self,
        rows: Callable[[], MutableMapping[bytes, bytes]],
        post: Callable[[int, bytes, bytes | None, list[tuple[str, bytes]] | None], Sent],
    ) -> None:
        self._rows, self._post = rows, post
        self._epochs: dict[int, Epoch] = {}  # as which this worker writes, by partition
        self._fences: dict[int, Fence] = {}
        self._partitions: dict[bytes, int] = {}  # of all rows

    def fence(self, partition: int) -> Fence:
        return self._fences.setdefault(partition, Fence())

    def owned(self, partition: int) -> bool:
        """Is our announcement the last that was read?"""
        return self._epochs.get(partition) == self.fence(partition).owner

    def lost(self, partition: int) -> bool:
        """Has another announced itself after us?"""
        return partition in self._epochs and not self.owned(partition)

    def takes(self, partition: int, key: bytes, headers: Headers) -> bool:
        """Is the next record of the changelog a row that counts?"""
        if not self.fence(partition).admits(key, headers) or key == MARKER:
            return False
        self._partitions[key] = partition
        return True

    def write(self, partition: int, key: bytes, value: bytes | None) -> Sent:
        """Send a row, stamped now: sent again after the partition was lost and won, it counts as of before."""
        self._partitions[key] = partition
        return self._send(partition, key, value)

    def write_again(self, partition: int, key: bytes) -> Sent:
        """Send the row of ``key`` as it is; a tombstone where there is none."""
        return self._send(partition, key, MARKER_VALUE if key == MARKER else self._rows().get(key))

    def announce(self, partition: int, epoch: Epoch) -> Sent:
        """Begin to write the partition as ``epoch``."""
        self._epochs[partition] = epoch
        return self._send(partition, MARKER, MARKER_VALUE)

    def forget(self, partition: int) -> None:
        """All of it is read anew."""
        self._epochs.pop(partition, None)
        self._fences.pop(partition, None)
        for key in [key for key, its in self._partitions.items() if its == partition]:
            self._rows().pop(key, None)
            del self._partitions[key]

    def _send(self, partition: int, key: bytes, value: bytes | None) -> Sent:
        epoch = self._epochs.get(partition)
        return self._post(partition, key, value, epoch.headers() if epoch else None)
