"""One key's state inside the pool, and what of it may be shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from vision_stream.llm.limits import KeyLimits, Slots
from vision_stream.llm.success import SuccessRate

if TYPE_CHECKING:
    from vision_stream.llm.pool import Lease, PooledKey
    from vision_stream.llm.seats import Seat, Seats


class KeyStatus(Struct, frozen=True, kw_only=True):
    """What a status page shows of a key; times in seconds from now."""

    id: str
    model: str
    base_url: str
    state: Literal["ready", "cooling", "probing", "disabled"]
    in_flight: int
    calls: int
    failures: int  # in a row
    success_rate: float  # of the last 5 minutes
    cooling_for_s: float
    free_in_s: float  # until its limits and its cooldown allow the next call
    reason: str
    at_limit: bool = False  # what it cools for is its own limit


class KeyState:
    """Mutable, and touched by its pool alone."""

    __slots__ = (
        "_key", "at_limit", "calls", "cooldowns", "cooled_at", "cooling_until", "credit", "disabled", "failures", "id",
        "in_flight", "last_cooldown", "limits", "most", "needs_probe", "priority", "probing", "reason", "success",
    )  # fmt: skip

    def __init__(self, key: PooledKey, limits: KeyLimits) -> None:
        self._key, self.limits = key, limits
        self.id, self.priority, self.most = key.id, key.priority, key.max_concurrent
        self.in_flight = 0
        self.calls = 0
        self.credit = 0  # of the weighted strategy
        self.cooling_until = self.cooled_at = -math.inf
        self.last_cooldown = 0.0
        self.failures = 0
        self.cooldowns = 0  # ever
        self.at_limit = False  # what it cools for is its own limit, and soon over
        self.needs_probe = False
        self.probing = False
        self.disabled = False
        self.reason = ""
        self.success = SuccessRate()

    def is_of(self, key: PooledKey) -> bool:
        """Whether what was learned of this key holds for ``key``: the same secret at the same endpoint and model."""
        mine = self._key
        return (mine.identity, mine.base_url, mine.model) == (key.identity, key.base_url, key.model)

    def reconfigure(self, key: PooledKey, limits: Callable[[PooledKey], KeyLimits], now: float) -> None:
        new = limits(key)
        if not new.like(self.limits):
            new.follow(self.limits, now)
            self.limits = new
        self._key, self.priority, self.most = key, key.priority, key.max_concurrent

    def busy(self) -> bool:
        """Only a report can free it."""
        return self.probing or self.full()

    def full(self) -> bool:
        return self.most is not None and self.in_flight >= max(1, math.floor(self.most * self.limits.part))

    def full_elsewhere(self) -> bool:
        """Whether other processes' calls fill it too: nobody tells us when one of those ends."""
        return self.full() and self.limits.seats is not None and self.limits.seats.others()

    def reserve(self, now: float, tokens: int) -> tuple[Slots, Seat | None] | None:
        """Slots in all its limits, and a seat among all processes' calls; None: another process was quicker."""
        seats, seat = self.limits.seats, None
        if seats is not None and (self.most is not None or self.needs_probe):
            seat = self._seat(seats, now)
            if seat is None:
                return None
        slots = self.limits.reserve(now, tokens)
        if slots is not None:
            return slots, seat or (None if self.most is None else self.limits.seat(slots))
        if seat is not None:
            seat.leave(now)
        return None

    def _seat(self, seats: Seats, now: float) -> Seat | None:
        if self.needs_probe:
            probing = seats.probe(now, since=self.cooled_at)
            if probing == "well":
                self.recover()
            elif probing != "yours":
                self.cooling_until = probing if isinstance(probing, float) else self.cooling_until
                return None
        return seats.seat(self.most, now, probe=self.needs_probe)

    def free_at(self, now: float, tokens: int = 0) -> float:
        """When cooldown and limits allow the next call, or are worth another look."""
        at = self.limits.look_again_at(now, tokens)
        return at if at > self.cooling_until else self.cooling_until

    def relimit(self, limits: Callable[[PooledKey], KeyLimits]) -> None:
        new = limits(self._key)
        if type(new) is not type(self.limits) or not new.like(self.limits):
            self.limits = new

    def takes_one(self, now: float) -> bool:
        """Whether it can still be given a call whose slot is reserved."""
        return not self.disabled and not self.busy() and self.cooling_until <= now

    def begin(self) -> None:
        """A call whose slots are reserved."""
        self.in_flight += 1
        self.calls += 1
        self.probing = self.needs_probe

    def end(self, lease: Lease, now: float) -> None:
        if lease.limits is not None:
            lease.limits.stamp(lease.slots, now)  # a call that never said when it went out went out by now
        self.in_flight -= 1
        if lease.probe:
            self.probing = False

    def usable(self, now: float) -> bool:
        """Neither disabled nor cooling; a key that merely waits for room in its limits is usable."""
        return not self.disabled and (self.at_limit or self.cooling_until <= now)

    def well(self, now: float) -> bool:
        """Usable, and not waiting to be probed."""
        return self.usable(now) and not self.needs_probe

    def cool(self, *, now: float, until: float, reason: str, at_limit: bool = False) -> None:
        self.cooling_until, self.cooled_at = until, now
        self.at_limit = at_limit
        self.needs_probe = True
        self.reason = reason

    def disable(self, reason: str) -> bool:
        """True when that is news."""
        news = not self.disabled
        self.disabled, self.reason = True, reason
        return news

    def recover(self) -> None:
        self.failures = 0
        self.last_cooldown = 0.0
        self.needs_probe = self.at_limit = False
        self.reason = ""

    def status(self, now: float) -> KeyStatus:
        free_at = self.free_at(now)
        return KeyStatus(
            id=self.id,
            model=self._key.model,
            base_url=self._key.base_url,
            state=self._word(now),
            in_flight=self.in_flight,
            calls=self.calls,
            failures=self.failures,
            success_rate=self.success.share(now),
            cooling_for_s=max(0.0, self.cooling_until - now),
            free_in_s=max(0.0, free_at - now),
            reason=self.reason,
            at_limit=self.at_limit,
        )

    def _word(self, now: float) -> Literal["ready", "cooling", "probing", "disabled"]:
        if self.disabled:
            return "disabled"
        if self.cooling_until > now:
            return "cooling"
        return "probing" if self.needs_probe else "ready"
