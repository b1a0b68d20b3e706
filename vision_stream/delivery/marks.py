"""What is done behind a committed offset, as text that travels with the commit.

A commit says "all below is done". Messages behind one that still runs may be done too, and whoever reads on from the
commit would do them again: for tasks, another paid call each. Kafka stores up to 4 KiB of text with each commit.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import NamedTuple

FORM = "done1:"  # of the text; what begins otherwise is not ours, and says nothing
FARTHEST = 24_000  # offsets behind the committed one, a bit each: 4,006 bytes of the broker's default limit of 4,096


class Place(NamedTuple):
    """How far a partition is done: all below ``offset``, and ``done`` behind it."""

    offset: int
    done: frozenset[int] = frozenset()

    @property
    def marks(self) -> str:
        """``done`` as text; what lies too far behind is left out, and comes again.

        >>> Place(7, frozenset({9})).marks
        'done1:Ag=='
        >>> Place(7).marks
        ''
        """
        bits = 0
        for offset in self.done:
            if 0 < offset - self.offset <= FARTHEST:
                bits |= 1 << (offset - self.offset - 1)
        return FORM + base64.b64encode(bits.to_bytes((bits.bit_length() + 7) // 8, "little")).decode() if bits else ""

    @classmethod
    def of(cls, offset: int, marks: str | None) -> Place:
        """A commit as it was read; marks that cannot be read are none.

        >>> Place.of(7, "done1:Ag==")
        Place(offset=7, done=frozenset({9}))
        """
        if not marks or not marks.startswith(FORM):
            return cls(offset)
        try:
            raw = base64.b64decode(marks[len(FORM) :], validate=True)
        except ValueError:  # binascii.Error too
            return cls(offset)
        return cls(offset, frozenset(offset + 1 + n for n in _set_bits(raw)))


def _set_bits(raw: bytes) -> Iterable[int]:
    return (8 * n + bit for n, byte in enumerate(raw) for bit in range(8) if byte >> bit & 1)
