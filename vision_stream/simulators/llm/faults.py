"""What goes wrong on demand: a fault, which keys it hits, how often."""

from __future__ import annotations

import random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FaultKind = Literal[
    "400",
    "401",
    "403",
    "429",
    "500",
    "503",
    "timeout",  # accepts the request and never answers
    "cut",  # closes the connection in the middle of the body
    "trickle",  # sends the body a byte at a time, slower than anyone waits
    "garbage",  # 200 with a body that is not JSON
    "wrong_schema",  # a well-formed answer whose content does not fit
    "truncated",  # finish_reason length, the content cut
    "refused",  # finish_reason content_filter, no content
    "redirect",
    "slow",  # ten times the latency, or ``delay_s``
    "lying",  # fits the schema and is false: the opposite level, objects that nobody named
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /control`` takes one; ``{"fault": null}`` ends all."""

    fault: FaultKind | None
    keys: tuple[str, ...] = ()  # key ids; none: all
    share: Annotated[float, Meta(ge=0, le=1)] = 1.0  # of the calls
    times: Annotated[int, Meta(ge=1)] | None = None  # ends after so many
    retry_after: Annotated[str, Meta(max_length=40)] | None = None  # of a 429 or 503: seconds, or "date" for one 2 s on
    headers: dict[str, str] = {}  # of any answer, beside its own: x-ratelimit-reset-requests, say
    delay_s: Annotated[float, Meta(ge=0, le=3600)] | None = None  # of "slow"


class Faults:
    """The faults that are on. The first that hits decides."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._on: list[Fault] = []
        self._left: dict[int, int] = {}

    def set(self, fault: Fault) -> None:
        if fault.fault is None:
            self._on.clear()
        else:
            self._on.append(fault)
            if fault.times is not None:
                self._left[id(fault)] = fault.times

    def hit(self, key_id: str) -> Fault | None:
        for fault in self._on:
            if (not fault.keys or key_id in fault.keys) and self._rng.random() < fault.share:
                self._count(fault)
                return fault
        return None

    def _count(self, fault: Fault) -> None:
        if fault.times is None:
            return
        self._left[id(fault)] -= 1
        if self._left[id(fault)] == 0:
            self._on.remove(fault)
            del self._left[id(fault)]

    def list(self) -> list[Fault]:
        return list(self._on)
