"""Limits shared by the workers of many hosts: choosing a key and reserving its slot is one round trip to Redis.

Redis keeps the windows, by its own clock. While it is away, or has lost its data, each worker goes on with its share
of every limit, at first as if all windows were full: what the others have just sent is not known. When it is back,
shares hold for one more window, and what is sent is noted there; so its return brings no burst.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from vision_stream.background import Background
from vision_stream.llm.limits import (
    JITTER_S,
    MINUTE_S,
    PENDING_S,
    KeyLimits,
    SlidingWindow,
    Slots,
    Window,
    spans,
    widened,
)
from vision_stream.llm.token_window import TokenWindow

if TYPE_CHECKING:
    from vision_stream.llm.key_state import KeyState
    from vision_stream.llm.pool import PooledKey
    from vision_stream.llm.seats import Seat
    from vision_stream.stores.redis_link import RedisLink

PREFIX = "{vision-stream:limits}:"  # one hash tag, so that a cluster keeps all of it on one node
BEAT_S = 1.0  # Longer: Redis's return is seen later. Shorter: commands for nothing.
COUNTED_S = 10.0  # a worker that was not heard of for so long is none
_HERE = Path(__file__).parent
_MICRO = 1_000_000

_log = structlog.get_logger(__name__)

Kind = tuple[str, int, float]  # letter, limit, seconds


def kinds_of(key: PooledKey, jitter_s: float) -> tuple[Kind, ...]:
    """The windows of a key: q and r of calls a second and a minute, t of tokens a minute, c of calls under way."""
    letters = [letter for letter, limit in (("q", key.qps_limit), ("r", key.rpm_limit)) if limit is not None]
    calls = spans(key.qps_limit, key.rpm_limit, jitter_s=jitter_s)
    found = [(letter, limit, span_s) for letter, (limit, span_s) in zip(letters, calls, strict=True)]
    if key.tpm_limit is not None:
        found.append(("t", key.tpm_limit, widened(MINUTE_S, jitter_s)))
    if key.max_concurrent is not None:
        found.append(("c", key.max_concurrent, PENDING_S))
    return tuple(found)


PROBE: Kind = ("p", 1, PENDING_S)


class _Call:
    """One reservation, or one call made under a share, in windows of these ``kinds``."""

    __slots__ = ("id", "kinds", "sent", "slots", "tokens")

    def __init__(self, id: str, tokens: int, kinds: Sequence[Kind], slots: Slots = ()) -> None:
        self.id, self.tokens, self.kinds, self.slots, self.sent = id, tokens, kinds, slots, False


class RemoteSeat:
    """A call's place among those under way with its key in all processes, until it has ended."""

    __slots__ = ("_call", "_limits", "_link")

    def __init__(self, link: RedisLimits, limits: RemoteLimits | ShareLimits, call: _Call) -> None:
        self._link, self._limits, self._call = link, limits, call

    def leave(self, now: float, *, well: bool = False, rests_until: float | None = None) -> None:
        rests_ms = 0 if rests_until is None else max(0, round((rests_until - now) * 1000))
        self._link.settle(self._limits, self._call, "ended", rests_ms)


def _seat(link: RedisLimits, limits: RemoteLimits | ShareLimits, call: _Call) -> RemoteSeat | None:
    under_way = any(kind in "cp" for kind, *_ in call.kinds)
    return RemoteSeat(link, limits, call) if under_way else None


class RemoteLimits(KeyLimits):
    """A key's limits while Redis keeps them. ``hold_until``: when it is worth asking again."""

    __slots__ = ("_link", "hold_until", "kinds", "name")

    def __init__(self, link: RedisLimits, key: PooledKey) -> None:
        super().__init__(())
        self._link, self.name, self.kinds = link, link.name_of(key), kinds_of(key, link.jitter_s)
        self.hold_until = -math.inf

    def _shape(self) -> tuple[tuple[int, float], ...]:
        return tuple((limit, span_s) for _, limit, span_s in self.kinds)

    def _set_wider(self, seconds: float) -> None:
        self._wider_s = seconds

    def kinds_for(self, key: KeyState) -> tuple[Kind, ...]:
        return (*self.kinds, PROBE) if key.needs_probe else self.kinds

    def arguments(self, kinds: Sequence[Kind]) -> list[str]:
        flat = [
            part
            for kind, limit, span_s in kinds
            for part in (kind, str(limit), f"{(span_s + self._wider_s) * _MICRO:.0f}")
        ]
        return [self.name, str(len(kinds)), *flat]

    def free_at(self, tokens: int = 0) -> float:
        return self.hold_until

    def stamp(self, slots: Slots, now: float) -> None:
        for call in slots:
            if not call.sent:
                call.sent = True
                self._link.settle(self, call, "sent")

    def correct(self, slots: Slots, tokens: int) -> None:
        if any(kind == "t" for kind, *_ in self.kinds):
            for call in slots:
                self._link.settle(self, call, str(tokens))

    def cancel(self, slots: Slots) -> None:
        for call in slots:
            self._link.settle(self, call, "cancelled")


class ShareLimits(KeyLimits):
    """One of ``workers`` equal shares of a key's limits; all windows are full at ``now``."""

    __slots__ = ("_link", "kinds", "name")

    def __init__(self, link: RedisLimits, key: PooledKey, workers: float, now: float) -> None:
        self._link, self.name, self.kinds = link, link.name_of(key), kinds_of(key, link.jitter_s)
        super().__init__(_share(kind, workers) for kind in self.kinds if kind[0] != "c")
        self.part = 1 / workers
        for window in self.windows:
            calls, tokens = (window.limit, 0) if isinstance(window, SlidingWindow) else (1, window.limit)
            for _ in range(calls):
                window.stamp(window.reserve(now, tokens), now)

    def reserve(self, now: float, tokens: int = 0) -> Slots | None:
        slots = super().reserve(now, tokens)
        return None if slots is None else (_Call(self._link.new_id(), tokens, self.kinds, slots),)

    def seat(self, slots: Slots) -> RemoteSeat | None:
        return _seat(self._link, self, slots[0])

    def stamp(self, slots: Slots, now: float) -> None:
        for call in slots:
            super().stamp(call.slots, now)
            if not call.sent:
                call.sent = True
                self._link.settle(self, call, "noted")

    def correct(self, slots: Slots, tokens: int) -> None:
        for call in slots:
            super().correct(call.slots, tokens)


def _share(kind: Kind, workers: float) -> Window:
    letter, limit, span_s = kind
    share = math.floor(limit / workers)
    if letter == "t":
        return TokenWindow(max(share, 1), span_s, whole=False)
    return SlidingWindow(share, span_s) if share else SlidingWindow(1, span_s * workers / limit)


class RedisLimits:
    """The limits of all keys of a scheduler. ``start`` it, and ask ``limits`` for a key's.

    Args:
        share: of each limit that is this worker's while Redis was never reached, above 0 to 1.
        changed: called when ``limits`` has begun to make others: of shares, or of Redis.
    """

    def __init__(self, link: RedisLink, *, jitter_s: float = JITTER_S, share: float = 1.0) -> None:
        self.link, self.jitter_s = link, jitter_s
        self.changed: Callable[[], None] = lambda: None
        self.up = False  # whether Redis decides
        self._share = share
        self._workers = 0
        self._worker = secrets.token_hex(6)
        self._numbers = itertools.count()
        self._data: bytes | str | None = None
        self._back_at: float | None = None
        self._longest_s = 1.0
        self._background = Background()
        self._settling: list[list[str]] = []
        self._reserve = link.client.register_script((_HERE / "redis_limits.lua").read_text())
        self._settle = link.client.register_script((_HERE / "redis_settle.lua").read_text())

    async def start(self) -> None:
        answer = await self._ask([], 0)
        if answer is not None:
            self.up = True
            self.changed()
        self._background.spawn(self._beat(), name="Redis limits")

    async def close(self) -> None:
        await self._background.settle(within_s=0)
        await self._background.close()

    def limits(self, key: PooledKey) -> KeyLimits:
        kinds = kinds_of(key, self.jitter_s)
        self._longest_s = max(self._longest_s, *(span_s for _, _, span_s in kinds), 0.0)
        if self.up:
            return RemoteLimits(self, key)
        workers = self._workers or 1 / self._share
        return ShareLimits(self, key, workers, time.monotonic() if self._data is not None else -math.inf)

    def name_of(self, key: PooledKey) -> str:
        return f"{key.id}:{key.identity}"

    def new_id(self) -> str:
        return f"{self._worker}.{next(self._numbers)}"

    async def reserve(self, keys: Sequence[KeyState], tokens: int) -> tuple[KeyState, Slots, Seat | None] | None:
        """Reserve a call with the first of ``keys`` that has room.

        None: none has, and their ``hold_until`` says when to ask again; or Redis is lost.
        """
        asked: list[tuple[KeyState, RemoteLimits, tuple[Kind, ...]]] = []
        unlimited = None
        for key in keys:
            kinds = key.limits.kinds_for(key) if isinstance(key.limits, RemoteLimits) else ()
            if not kinds or not isinstance(key.limits, RemoteLimits):  # not limited, or by what it learned itself
                unlimited = key
                break
            asked.append((key, key.limits, kinds))
        granted = await self._reserve_one(asked, tokens) if asked else None
        if granted is not None or unlimited is None:
            return granted
        return unlimited, unlimited.limits.reserve(time.monotonic(), tokens) or (), None

    async def _reserve_one(
        self, asked: Sequence[tuple[KeyState, RemoteLimits, tuple[Kind, ...]]], tokens: int
    ) -> tuple[KeyState, Slots, Seat | None] | None:
        call_id = self.new_id()
        arguments = [part for _, limits, kinds in asked for part in limits.arguments(kinds)]
        answer = await self._ask(arguments, tokens, call_id)
        if answer is None:
            self._lose("Redis does not answer")
            return None
        chosen, now = int(answer[2]), time.monotonic()
        for (_, limits, _), wait in zip(asked, answer[3:], strict=False):
            limits.hold_until = now + max(float(wait) / _MICRO, 0.0005)
        if not chosen:
            return None
        key, limits, kinds = asked[chosen - 1]
        call = _Call(call_id, tokens, kinds)
        return key, (call,), _seat(self, limits, call)

    def cancel(self, key: KeyState, slots: Slots) -> None:
        if isinstance(key.limits, RemoteLimits):
            key.limits.cancel(slots)

    async def _ask(self, candidates: Sequence[str], tokens: int, call_id: str = "-") -> list[Any] | None:
        arguments = [call_id, str(tokens), f"{PENDING_S * _MICRO:.0f}", self._worker, f"{COUNTED_S * _MICRO:.0f}"]
        arguments += [secrets.token_hex(6), *candidates]
        answer = await self.link.call("limits", lambda redis: self._reserve([PREFIX], arguments, client=redis))
        if answer is None:
            return None
        data, self._workers = answer[0], int(answer[1])
        if self._data is not None and data != self._data:  # emptied, or another server: what was sent is not in it
            self._data = data
            self._lose("Redis has lost its data")
            return None
        self._data = data
        return answer

    def settle(self, limits: RemoteLimits | ShareLimits, call: _Call, what: str, rests_ms: int = 0) -> None:
        """Tell Redis, without waiting. What cannot be told costs room, never a limit."""
        if not self.link.up:
            return
        weight = next((min(call.tokens, limit) for kind, limit, _ in call.kinds if kind == "t"), call.tokens)
        kinds = "".join(kind for kind, *_ in call.kinds)
        self._settling.append([limits.name, kinds, call.id, str(weight), what, str(rests_ms)])
        if what.isdecimal():
            call.tokens = int(what)
        if len(self._settling) == 1:
            self._background.spawn(self._tell(), name="Redis limits told")

    async def _tell(self) -> None:
        """All that came up meanwhile in one trip, in order."""
        while self._settling:
            batch = self._settling[:256]

            async def send(redis: Any, batch: list[list[str]] = batch) -> list[Any]:
                async with redis.pipeline(transaction=False) as pipe:  # gives its connection back, cut off or not
                    for arguments in batch:
                        await self._settle([PREFIX], arguments, client=pipe)
                    return await pipe.execute()

            await self.link.call("limits", send)
            del self._settling[: len(batch)]

    async def _beat(self) -> None:
        """Be counted as a worker, and see Redis come back."""
        while True:
            await asyncio.sleep(BEAT_S)
            answer, now = await self._ask([], 0), time.monotonic()
            if answer is None:
                self._back_at = None
                if self.up:
                    self._lose("Redis does not answer")
            elif not self.up:
                self._back_at = now if self._back_at is None else self._back_at
                if now - self._back_at >= self._longest_s:
                    self._use_redis()

    def _use_redis(self) -> None:
        self.up, self._back_at = True, None
        _log.info("limits are kept by Redis again", workers=self._workers)
        self.changed()

    def _lose(self, why: str) -> None:
        if self.up:
            self.up, self._back_at = False, None
            _log.warning("each worker keeps its share of the limits", why=why, workers=self._workers)
            self.changed()
