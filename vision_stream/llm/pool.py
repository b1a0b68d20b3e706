"""Which key takes the next call, and what a call's end means for its key. Pure: it returns what should happen.

    acquire(now)  ->  Lease           a key is chosen and its slot is booked, in one step
                      WaitUntil       no key has room before then
                      WaitForReport   every key that could go is busy; a report changes that
                      AllDisabled     nothing will change by itself

Every lease ends in exactly one report (answered, failed, rate limited, unauthorized) or ``release``. ``now`` is
monotonic seconds.
"""

from __future__ import annotations

import functools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from vision_stream.llm.cooldowns import fingerprint
from vision_stream.llm.key_state import KeyState, KeyStatus
from vision_stream.llm.limits import JITTER_S, LOOK_AGAIN_S, KeyLimits, Slots, key_limits
from vision_stream.llm.strategies import Strategy, least_loaded, strategy_named
from vision_stream.redaction import redact_url
from vision_stream.settings import LLMSettings

if TYPE_CHECKING:
    from vision_stream.llm.seats import Seat

QUICK_TRIES = 3  # keys that the quick way looks at. More: each costs a microsecond, before all are looked at anyway.
PROBED_EVERY_S = 2.0  # while all keys fail. More: an endpoint that is back waits to be seen. Less: it is battered.
MAX_RETRY_AFTER_S = 86_400.0  # A provider may say "tomorrow". Larger: one broken header rests a key for ever.


@dataclass(slots=True)  # not frozen, which costs two microseconds a call
class Lease:
    """The right to one call with a key. ``probe``: the first after a cooldown; no other goes before its report."""

    key_id: str
    probe: bool = False
    slots: Slots = field(default=(), compare=False)  # reserved in the key's limits
    cooldowns: int = field(default=0, compare=False)  # that the key had had by then
    state: KeyState | None = field(default=None, compare=False, repr=False)  # of the key, which a reload may replace
    limits: KeyLimits | None = field(default=None, compare=False, repr=False)  # that the slots are of
    seat: Seat | None = field(default=None, compare=False, repr=False)  # among the calls of all processes

    def leave(self, now: float, *, well: bool = False, rests_until: float | None = None) -> None:
        """Give the seat back; if it was the probe, say what became of it."""
        if self.seat is not None:
            self.seat.leave(now, well=well, rests_until=rests_until)


class WaitUntil(Struct, frozen=True):
    at: float


class WaitForReport(Struct, frozen=True):
    key_id: str  # the first that is waited for


class AllDisabled(Struct, frozen=True):
    pass


Acquired = Lease | WaitUntil | WaitForReport | AllDisabled


class PooledKey(Struct, frozen=True, kw_only=True):
    """What the pool needs to know of a key: everything but its secret."""

    id: str
    priority: int = 1
    qps_limit: float | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None
    max_concurrent: int | None = None
    model: str = ""
    base_url: str = ""
    enabled: bool = True
    identity: str = ""  # tells its secret from another under the same id

    @property
    def limited(self) -> bool:
        """Whether any limit is configured."""
        return not (self.qps_limit is self.rpm_limit is self.tpm_limit is self.max_concurrent is None)


def _wait(earliest: float, awaited: str | None) -> WaitUntil | WaitForReport | AllDisabled:
    if earliest < math.inf:
        return WaitUntil(earliest)
    return WaitForReport(awaited) if awaited else AllDisabled()


def alone(key: PooledKey, *, jitter_s: float = JITTER_S) -> KeyLimits:
    """The key's limits, counted by this process alone."""
    return key_limits(key.qps_limit, key.rpm_limit, key.tpm_limit, jitter_s=jitter_s)


def share_of(key: PooledKey, *, share: float, jitter_s: float = JITTER_S) -> KeyLimits:
    """A share of the key's limits, for one of several processes that count apart; at least one call in its window."""
    minute = None if key.rpm_limit is None else max(1, math.floor(key.rpm_limit * share))
    tokens = None if key.tpm_limit is None else max(1, math.floor(key.tpm_limit * share))
    second = None if key.qps_limit is None else key.qps_limit * share
    limits = key_limits(second, minute, tokens, jitter_s=jitter_s)
    limits.part = share
    return limits


class KeyPool:
    """Keys with limits, cooldowns and one of three strategies.

    Args:
        keys: ids, or ``PooledKey``s for those with limits.
        min_cooldown, max_cooldown: seconds; a key's first failure in a row costs the least, later ones grow.
        uniform: ``random.uniform``, injected for tests.
        limits: makes a key's ``KeyLimits``; the default counts this process alone.
    """

    def __init__(
        self,
        keys: Sequence[str | PooledKey],
        *,
        strategy: str = "least_loaded",
        min_cooldown: float = 5.0,
        max_cooldown: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
        limits: Callable[[PooledKey], KeyLimits] | None = None,
    ) -> None:
        self._uniform = uniform
        self._keys: dict[str, KeyState] = {}
        self._strategy = ""
        self.reconfigure(keys, strategy, min_cooldown, max_cooldown, limits or alone, now=0.0)

    def reconfigure(
        self,
        keys: Sequence[str | PooledKey],
        strategy: str,
        min_cooldown: float,
        max_cooldown: float,
        limits: Callable[[PooledKey], KeyLimits],
        now: float,
    ) -> None:
        """Other keys from now on. One that is the same but for its limits keeps its state, and what it used of them.

        Leases of keys that went end as all do, and change nothing any more.
        """
        known = [PooledKey(id=key) if isinstance(key, str) else key for key in keys]
        self._keys = {key.id: self._state(key, limits, now) for key in known if key.enabled}
        self._in_order = tuple(self._keys.values())
        if strategy != self._strategy:
            self._choose: Strategy = strategy_named(strategy)
            self._strategy = strategy
        self._min_cooldown, self._max_cooldown = min_cooldown, max(min_cooldown, max_cooldown)

    def _state(self, key: PooledKey, limits: Callable[[PooledKey], KeyLimits], now: float) -> KeyState:
        known = self._keys.get(key.id)
        if known is None or not known.is_of(key):
            return KeyState(key, limits(key))
        known.reconfigure(key, limits, now)
        return known

    def __len__(self) -> int:
        return len(self._keys)

    def acquire(self, now: float, tokens: int = 0, *, but: str | None = None) -> Acquired:
        """Choose a key other than ``but`` and book its slot for a call of about ``tokens``, or say what to wait for."""
        if self._choose is least_loaded and but is None and (lease := self._least_loaded(now, tokens)):
            return lease
        free, earliest, awaited = self._free(now, tokens)
        free = [key for key in free if key.id != but]
        while free:
            key = self._choose(free)
            reserved = key.reserve(now, tokens)
            if reserved is not None:
                return self.lease(key, *reserved)
            free.remove(key)  # another process was quicker
            earliest = min(earliest, now + LOOK_AGAIN_S)
        return _wait(earliest, awaited)

    def _least_loaded(self, now: float, tokens: int) -> Lease | None:
        """The quick way: whether a key is free is asked of the least loaded first, and of few."""
        tried: tuple[KeyState, ...] = ()
        while len(tried) < QUICK_TRIES and (key := self._lightest(tried)) is not None:
            if key.free_at(now, tokens) <= now:
                reserved = key.reserve(now, tokens)
                if reserved is not None:
                    return self.lease(key, *reserved)
            tried += (key,)
        return None

    def _lightest(self, tried: tuple[KeyState, ...]) -> KeyState | None:
        """As ``least_loaded`` of those that are not ``tried``, by hand: it is asked for each call."""
        lightest, in_flight, calls = None, 0, 0
        for key in self._in_order:
            flying = key.in_flight
            if lightest is not None and (flying > in_flight or (flying == in_flight and key.calls >= calls)):
                continue
            if not (key.disabled or key.probing or key in tried or (key.most is not None and key.full())):
                lightest, in_flight, calls = key, flying, key.calls
        return lightest

    def candidates(self, now: float, tokens: int = 0) -> list[KeyState] | WaitUntil | WaitForReport | AllDisabled:
        """The keys that a call could go to, the one that should take it first; for limits that others keep."""
        free, earliest, awaited = self._free(now, tokens)
        if not free:
            return _wait(earliest, awaited)
        chosen = self._choose(free)
        others = sorted((key for key in free if key is not chosen), key=lambda key: (key.in_flight, key.calls))
        return [chosen, *others]

    def lease(self, key: KeyState, slots: Slots, seat: Seat | None = None) -> Lease:
        """The right to a call whose slots are reserved."""
        lease = Lease(key.id, key.needs_probe, slots, key.cooldowns, key, key.limits, seat)
        key.begin()
        return lease

    def relimit(self, limits: Callable[[PooledKey], KeyLimits]) -> None:
        """Count with other limits from now on; leases end with the ones that they have."""
        for key in self._in_order:
            key.relimit(limits)

    def _free(self, now: float, tokens: int) -> tuple[list[KeyState], float, str | None]:
        """The keys that could take a call, when the first of the others can, and the first busy one."""
        free: list[KeyState] = []
        earliest, awaited = math.inf, None
        for key in self._in_order:
            if key.disabled:
                continue
            if key.busy():
                awaited = awaited or key.id
                if key.full_elsewhere():
                    earliest = min(earliest, now + LOOK_AGAIN_S)
                continue
            at = key.free_at(now, tokens)
            if at <= now:
                free.append(key)
            elif at < earliest:
                earliest = at
        return free, earliest, awaited

    def _of(self, lease: Lease) -> KeyState:
        return lease.state or self._keys[lease.key_id]

    def current(self, lease: Lease) -> bool:
        """Whether the lease's key is still the one that the pool has under its id."""
        return self._keys.get(lease.key_id) is self._of(lease)

    # -- what became of a lease

    def report_sent(self, lease: Lease, now: float) -> None:
        """The request is on its way: this is when it counts. Optional; without it, the call's end is taken."""
        if lease.limits is not None:
            lease.limits.stamp(lease.slots, now)

    def release(self, lease: Lease, now: float) -> None:
        """The call says nothing about its key: cancelled, or out of time."""
        self._of(lease).end(lease, now)
        lease.leave(now)

    def report_answered(self, lease: Lease, now: float, tokens: int | None = None) -> None:
        """``tokens``: what the call took, where the endpoint says so."""
        key = self._of(lease)
        key.end(lease, now)
        if tokens and lease.limits is not None:
            lease.limits.correct(lease.slots, tokens)
        key.success.add(True, now)
        key.limits.relax()
        if lease.probe or key.cooling_until <= now:
            key.recover()
        lease.leave(now, well=True)

    def report_failed(self, lease: Lease, now: float, reason: str = "") -> None:
        """A server error, a timeout or a broken connection: the key cools, longer each time in a row.

        Where no key is well, only so long that one of them is probed about every ``PROBED_EVERY_S``: nothing else would
        show that an endpoint is back.
        """
        self._cool(lease, now, 0.0, reason, most=self._longest(self._of(lease), now))

    def _longest(self, key: KeyState, now: float) -> float:
        if any(other.well(now) for other in self._in_order if other is not key):
            return self._max_cooldown
        enabled = sum(not other.disabled for other in self._in_order)
        return min(self._max_cooldown, max(self._min_cooldown, PROBED_EVERY_S * enabled))

    def report_rate_limited(
        self, lease: Lease, now: float, retry_after: float | None = None, reason: str = "rate limited"
    ) -> None:
        """A 429: the key cools for ``retry_after`` seconds, twice that when it comes again; else a grown cooldown."""
        self._of(lease).limits.refused(now, retry_after)
        self._cool(lease, now, min(retry_after or 0.0, MAX_RETRY_AFTER_S), reason, most=self._max_cooldown)

    def report_unauthorized(self, lease: Lease, now: float, reason: str = "unauthorized") -> bool:
        """The provider refuses the key itself; True when that was news."""
        key = self._of(lease)
        key.end(lease, now)
        key.success.add(False, now)
        lease.leave(now, rests_until=now + self._max_cooldown)  # all will have heard of it by then
        return key.disable(reason)

    def _cool(self, lease: Lease, now: float, floor: float, reason: str, *, most: float) -> None:
        key = self._of(lease)
        key.end(lease, now)
        key.success.add(False, now)
        if key.cooling_until > now or lease.cooldowns < key.cooldowns:
            # One of many in flight when the key began to cool: not one more failure in a row.
            key.cooling_until = max(key.cooling_until, now + floor)
        else:
            cooldown = self._cooldown(key, floor, most)
            at_limit = not key.failures and floor > 0 and key.limits.explains(cooldown)
            key.cool(now=now, until=now + cooldown, reason=reason, at_limit=at_limit)
            key.cooldowns += 1
            key.failures += 1
        lease.leave(now, rests_until=key.cooling_until)

    def _cooldown(self, key: KeyState, floor: float, most: float) -> float:
        """Seconds: as the provider says, doubled with each failure in a row, else with decorrelated jitter."""
        if floor > 0:
            return max(floor, min(floor * 2 ** min(key.failures, 16), self._max_cooldown))
        grown = self._uniform(self._min_cooldown, 3 * key.last_cooldown) if key.last_cooldown else self._min_cooldown
        if most < min(grown, self._max_cooldown):
            grown = self._uniform(self._min_cooldown, most)  # not just ``most``, or all keys would be probed together
        key.last_cooldown = min(grown, self._max_cooldown)
        return key.last_cooldown

    # -- what others know, and operators want

    def forgive(self, key_id: str) -> None:
        """Take back the cooldown of a key whose only failure turned out to be the request's fault."""
        key = self._keys.get(key_id)
        if key is not None and key.failures == 1:
            key.recover()
            key.cooling_until = -math.inf

    def disable(self, key_id: str, reason: str) -> bool:
        return self._keys[key_id].disable(reason)

    def enable(self, key_id: str) -> None:
        """Back to work, with nothing held against it."""
        key = self._keys[key_id]
        key.disabled = False
        key.cooling_until = -math.inf
        key.recover()

    def recovered(self, key_id: str) -> None:
        """Another scheduler's probe was answered."""
        key = self._keys[key_id]
        key.cooling_until = -math.inf
        key.recover()

    def cool_until(
        self, key_id: str, until: float, failures: int, reason: str, *, now: float, at_limit: bool = False
    ) -> None:
        """What another scheduler saw: the longer cooldown counts, whoever says so."""
        key = self._keys[key_id]
        if until > key.cooling_until:
            key.cool(now=now, until=until, reason=reason, at_limit=at_limit)
            key.failures = max(key.failures, failures)
            key.last_cooldown = max(key.last_cooldown, self._min_cooldown)

    def blocked_until(self, now: float) -> float | None:
        """When the first key comes back where all are cooling or disabled (``inf``: none will); else None.

        A key that is asked to come back within the second of its own ``qps_limit`` is at its limit: it does not cool.
        """
        if any(key.usable(now) for key in self._in_order):
            return None
        return min((key.cooling_until for key in self._in_order if not key.disabled), default=math.inf)

    def next_slot_in(self, now: float) -> float:
        """Seconds until a key takes a call, as far as can be known; ``inf`` where only a report can change that."""
        times = [key.free_at(now) for key in self._in_order if not key.disabled and not key.busy()]
        return max(0.0, min(times, default=math.inf) - now)

    def available(self, now: float) -> int:
        """Keys that are neither cooling nor disabled."""
        return sum(1 for key in self._in_order if key.usable(now))

    def status(self, key_id: str, now: float) -> KeyStatus:
        return self._keys[key_id].status(now)

    def snapshot(self, now: float | None = None) -> tuple[KeyStatus, ...]:
        """All keys as a status page shows them, without secrets."""
        at = time.monotonic() if now is None else now
        return tuple(key.status(at) for key in self._in_order)


def pool_of(
    settings: LLMSettings,
    *,
    uniform: Callable[[float, float], float] = random.uniform,
    limits: Callable[[PooledKey], KeyLimits] | None = None,
) -> KeyPool:
    """The pool of config/api_keys.yaml."""
    return KeyPool(
        pooled(settings),
        strategy=settings.selection_strategy,
        min_cooldown=settings.cooling.min_cooldown,
        max_cooldown=settings.cooling.max_cooldown,
        uniform=uniform,
        limits=limits or functools.partial(alone, jitter_s=settings.limit_jitter_s),
    )


def pooled(settings: LLMSettings) -> list[PooledKey]:
    return [
        PooledKey(
            id=key.id,
            priority=key.priority,
            qps_limit=key.qps_limit,
            rpm_limit=key.rpm_limit,
            tpm_limit=key.tpm_limit,
            max_concurrent=key.max_concurrent,
            model=key.model,
            base_url=redact_url(key.base_url),
            enabled=key.enabled,
            identity=fingerprint(key.api_key.get_secret_value()),
        )
        for key in settings.keys
    ]
