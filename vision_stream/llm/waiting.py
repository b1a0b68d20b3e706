"""Where tasks wait for a key: the highest priority first, the oldest deadline next. Nothing polls.

A lease is handed out when a task arrives, when a call's end frees something, and when the pool says the next slot is
due; each of these calls ``_serve``. Times are the loop's, monotonic seconds.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from vision_stream.background import Background
from vision_stream.llm.key_state import KeyState
from vision_stream.llm.limits import Slots
from vision_stream.llm.pool import KeyPool, Lease, WaitUntil

if TYPE_CHECKING:
    from vision_stream.llm.seats import Seat


class Reserver(Protocol):
    """Keeps limits elsewhere."""

    up: bool  # False: the pool's own limits count

    async def reserve(self, keys: Sequence[KeyState], tokens: int) -> tuple[KeyState, Slots, Seat | None] | None:
        """Reserve with the first of ``keys`` that has room; None: none has, and the pool knows until when."""
        ...

    def cancel(self, key: KeyState, slots: Slots) -> None: ...


MAX_WAITING = 5000  # tasks, each with its picture in memory. A worker's agent takes far fewer at a time.


class RoomFull(Exception):
    """More tasks wait than a process should hold."""


class _Waiter:
    __slots__ = ("deadline", "lease", "tokens")

    def __init__(self, deadline: float, lease: asyncio.Future[Lease | None], tokens: int) -> None:
        self.deadline, self.lease, self.tokens = deadline, lease, tokens


class WaitingRoom:
    """Hands the pool's leases to waiting tasks, at most ``max_in_flight`` at a time.

    Args:
        worth_calling_for: seconds that a task must have left to be served, told whether more wait than are served.
        before: called before the pool is asked, to bring in what others know.
        reserver: keeps the limits elsewhere, and has to be awaited.
        blocked: told when the first key comes back (``inf``: none will), and now, where all are cooling or disabled.
    """

    def __init__(
        self,
        pool: KeyPool,
        max_in_flight: int,
        *,
        worth_calling_for: Callable[[bool], float] = lambda crowded: 0.0,
        before: Callable[[float], None] = lambda now: None,
        blocked: Callable[[float, float], None] = lambda until, now: None,
        reserver: Reserver | None = None,
    ) -> None:
        self._reserver, self._asking, self._background = reserver, False, Background()
        self._pool, self._max_in_flight = pool, max_in_flight
        self._worth_calling_for, self._before, self._blocked = worth_calling_for, before, blocked
        self._heap: list[tuple[int, float, int, _Waiter]] = []
        self._number = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.in_flight = 0
        self.waiting = 0

    async def lease(self, priority: int, deadline: float, tokens: int = 0) -> Lease | None:
        """The right to a call of about ``tokens``, or None: the deadline came first. A lease owes an ``ended``.

        Raises:
            RoomFull: too many wait already.
            CancelledError: the doors are shut.
        """
        if self._closed:
            raise asyncio.CancelledError
        if not self.waiting and (lease := self._at_once(deadline, tokens)) is not None:
            return lease
        if self.waiting >= MAX_WAITING:
            raise RoomFull
        waiter = _Waiter(deadline, self._loop.create_future(), tokens)
        self._sweep()
        heapq.heappush(self._heap, (-priority, deadline, next(self._number), waiter))
        self.waiting += 1
        try:
            self._serve()
            async with asyncio.timeout_at(deadline):
                return await waiter.lease
        except TimeoutError:
            self._give_back(waiter)
            return None
        except asyncio.CancelledError:
            self._give_back(waiter)
            raise
        finally:
            self.waiting -= 1
            waiter.lease.cancel()
            if not self.waiting:
                self._heap.clear()
                self._stop_timer()

    def _at_once(self, deadline: float, tokens: int) -> Lease | None:
        """A lease where nobody waits and a key is free: most are given so, and need no place in a queue."""
        if self.in_flight >= self._max_in_flight or (self._reserver is not None and self._reserver.up):
            return None
        now = self._loop.time()
        self._before(now)
        if deadline - now <= self._worth_calling_for(False):
            return None
        acquired = self._pool.acquire(now, tokens)
        if not isinstance(acquired, Lease):
            return None
        self.in_flight += 1
        return acquired

    def lease_now(self, tokens: int, but: str) -> Lease | None:
        """The right to a call with another key than ``but``, if one is free and nobody waits for it."""
        if self.waiting or self.in_flight >= self._max_in_flight or (self._reserver is not None and self._reserver.up):
            return None
        acquired = self._pool.acquire(self._loop.time(), tokens, but=but)
        if not isinstance(acquired, Lease):
            return None
        self.in_flight += 1
        return acquired

    def _give_back(self, waiter: _Waiter) -> None:
        """Cancelled, or out of time, between being given a lease and taking it: the key must not be lost."""
        if waiter.lease.done() and not waiter.lease.cancelled() and (lease := waiter.lease.result()):
            self._pool.release(lease, self._loop.time())
            self.ended()

    def ended(self) -> None:
        """A call has ended and its key has been told; the next may go."""
        self.in_flight -= 1
        self._serve()

    def sent(self, lease: Lease) -> None:
        """A request is on its way: from now on it is known when its slot comes free."""
        self._pool.report_sent(lease, self._loop.time())
        if lease.slots:
            self._serve()

    def look(self) -> None:
        """Something has changed that may free a key: another worker's word, other settings."""
        self._before(self._loop.time())
        self._serve()

    def turn_away(self, below: int) -> None:
        """Those of a lower priority get no lease, now and not at their deadline."""
        for negative, *_, waiter in self._heap:
            if -negative < below and not waiter.lease.done():
                waiter.lease.set_result(None)

    def shut(self) -> None:
        """Turn all away that have no lease yet, and whoever comes from now on: their waits are cancelled."""
        self._closed = True
        for *_, waiter in self._heap:
            waiter.lease.cancel()

    async def close(self) -> None:
        self._stop_timer()
        await self._background.close()

    def _serve(self) -> None:
        self._stop_timer()
        if not self.waiting:
            return
        now = self._loop.time()
        self._before(now)
        if self._reserver is not None and self._reserver.up:
            if not self._asking:
                self._asking = True
                self._background.spawn(self._hand_out(self._reserver), name="slots are reserved")
            return
        while self.in_flight < self._max_in_flight and (waiter := self._first(now)):
            acquired = self._pool.acquire(now, waiter.tokens)
            if not isinstance(acquired, Lease):
                return self._wait(acquired, now)
            heapq.heappop(self._heap)
            self._give(waiter, acquired)

    def _wait(self, acquired: object, now: float) -> None:
        if (until := self._pool.blocked_until(now)) is not None:
            self._blocked(until, now)
        if isinstance(acquired, WaitUntil):
            self._stop_timer()
            self._timer = self._loop.call_at(acquired.at, self._serve)

    def _give(self, waiter: _Waiter, lease: Lease) -> None:
        self.in_flight += 1
        waiter.lease.set_result(lease)

    async def _hand_out(self, reserver: Reserver) -> None:
        """As ``_serve``, one reservation after the other, until none waits or none is free."""
        try:
            while reserver.up and self.in_flight < self._max_in_flight and (waiter := self._first(self._loop.time())):
                now = self._loop.time()
                keys = self._pool.candidates(now, waiter.tokens)
                if not isinstance(keys, list):
                    return self._wait(keys, now)
                granted = await reserver.reserve(keys, waiter.tokens)
                if granted is not None:
                    self._pass_on(reserver, *granted, waiter)
        finally:
            self._asking = False
        if not reserver.up:
            self._serve()

    def _pass_on(self, reserver: Reserver, key: KeyState, slots: Slots, seat: Seat | None, asked_for: _Waiter) -> None:
        """To the most urgent one now, if its call weighs no more than what was reserved."""
        first = self._first(self._loop.time())
        waiter = first if first is not None and first.tokens <= asked_for.tokens else asked_for
        if waiter.lease.done() or not key.takes_one(self._loop.time()):
            reserver.cancel(key, slots)
        else:
            self._give(waiter, self._pool.lease(key, slots, seat))

    def _first(self, now: float) -> _Waiter | None:
        """The waiter whose turn it is; those that have left, or cannot make it any more, are dropped."""
        while self._heap:
            waiter = self._heap[0][3]
            if waiter.lease.done():
                heapq.heappop(self._heap)
            elif waiter.deadline - now <= self._worth_calling_for(self.waiting > self.in_flight):
                heapq.heappop(self._heap)
                waiter.lease.set_result(None)
            else:
                return waiter
        return None

    def _sweep(self) -> None:
        """Forget those that left and never came to the top, which under overload they may not for hours."""
        if len(self._heap) > 2 * self.waiting + 64:
            self._heap = [entry for entry in self._heap if not entry[3].lease.done()]
            heapq.heapify(self._heap)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
