"""What an endpoint says of a key's limit in the headers of its answers. Pure.

Some count by the minute, some by the day under the same name. Where what is used comes back little by little, which
one it is follows from how long the limit takes to be whole again. Where all of it comes back at the window's end, one
answer says nothing: near that end a minute looks like a second. Two do: what is used is twice as much in one of them,
and the whole would take as long by both. By a window that ends it would not, which only comes nearer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from vision_stream.llm.retry_after import duration, number

LIMIT = "x-ratelimit-limit-requests"
NEAR = 0.25  # of a window: resets are rounded, and a call's way takes time
APART = 2.0  # x as much is used. Below 5/3 a window that ends could look the same twice: NEAR allows that much.

Unit: TypeAlias = Literal["second", "minute"]


class ToldLimit(Struct, frozen=True):
    calls: int
    per: Unit


class SaidLimit(Struct, frozen=True):
    """One answer: ``used`` (> 0) of ``calls``, and after ``reset_s`` seconds (> 0) all of it is there again."""

    calls: int
    used: int
    reset_s: float

    @property
    def per(self) -> Unit | None:
        """If what is used comes back little by little; None: neither a second nor a minute.

        >>> SaidLimit(calls=60, used=1, reset_s=1.0).per, SaidLimit(calls=60, used=3, reset_s=0.05).per
        ('minute', 'second')
        """
        whole_s = self.calls * self.reset_s / self.used
        if abs(whole_s - 60.0) <= NEAR * 60.0:
            return "minute"
        return "second" if abs(whole_s - 1.0) <= NEAR else None


def said_limit(headers: Mapping[str, str]) -> SaidLimit | None:
    """None where nothing is said, or nothing is used yet. ``headers`` must be case-insensitive.

    >>> said_limit({LIMIT: "60", "x-ratelimit-remaining-requests": "58", "x-ratelimit-reset-requests": "2s"})
    SaidLimit(calls=60, used=2, reset_s=2.0)
    """
    limit, left = number(headers.get(LIMIT)), number(headers.get("x-ratelimit-remaining-requests"))
    reset_s = duration(headers.get("x-ratelimit-reset-requests"))
    if limit is None or left is None or not reset_s or limit - left < 1:
        return None
    return SaidLimit(int(limit), int(limit - left), reset_s)


class Believer:
    """Takes answers one by one; a limit is ``believed`` once enough of them in a row agree on it."""

    def __init__(self, believed: ToldLimit | None = None) -> None:
        self.believed = believed
        self._agreed: ToldLimit | None = None
        self._least = self._most = 0  # used, in the answers that agreed
        self._minutes: int | None = None  # calls, of which an answer said: a minute's

    def hear(self, said: SaidLimit) -> bool:
        """Whether another limit is believed now. The same number of calls never gets another unit."""
        told = None if said.per is None else ToldLimit(said.calls, said.per)
        if told is None or told != self._agreed:
            self._agreed, self._least, self._most = told, said.used, said.used
        self._least, self._most = min(self._least, said.used), max(self._most, said.used)
        if said.per == "minute":
            self._minutes = said.calls
        if told is None or self._most < APART * self._least or self._doubtful(told):
            return False
        self.believed = told
        return True

    def _doubtful(self, told: ToldLimit) -> bool:
        if self.believed is not None and self.believed.calls == told.calls:
            return True  # known already, or of another unit
        return told.per == "second" and self._minutes == told.calls
