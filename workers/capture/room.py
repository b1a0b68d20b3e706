"""How many pictures a detector takes at once: fewer where that has failed, after a while more again. Pure."""

from __future__ import annotations

GOOD = 200  # full batches in a row before more are tried: what fails then costs a two-hundredth
MOST_GOOD = 100 * GOOD


class Room:
    """Of one detector on one device, which another process may fill and leave.

    >>> room = Room(8)
    >>> room.failed(8)
    >>> room.most
    4
    >>> for _ in range(GOOD):
    ...     room.went_well(4)
    >>> room.most
    8
    """

    def __init__(self, most: int) -> None:
        """``most``: pictures at once that the detector gains from."""
        self.most = most
        self._wanted = most
        self._good = 0
        self._patience = GOOD // 2  # doubled with each failure: a device that stays small is not tried for ever

    def failed(self, pictures: int) -> None:
        """A batch of so many (2 or more) failed, and none of them by itself."""
        self.most = max(1, min(self.most, pictures // 2))
        self._good = 0
        self._patience = min(2 * self._patience, MOST_GOOD)

    def went_well(self, pictures: int) -> None:
        self._good += pictures >= self.most
        if self._good >= self._patience and self.most < self._wanted:
            self.most = min(2 * self.most, self._wanted)
            self._good = 0
