"""Calls that hang while their key says nothing, and which of them to make again. Pure but for ``Listening``'s timer.

As QUIC does for packets (RFC 9002), with margins for answers that take seconds:

sounding    No call of a key has been answered for longer than its calls take: its oldest call is ended and its task
            calls again, which shows whether the key is back; then once more after 1 s, 2 s, 4 s ...
overtaken   The first answer after such a silence: the calls that began before the answered one are lost, and are made
            again as soon as each has taken longer than calls do.

A call that is made again gives back its slot and waits for a new one, as any other: no limit is passed over. An
endpoint that has become slow loses a few calls to soundings, until its first slow answer says how long one takes now.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import structlog

from vision_stream.llm.deadlines import Block
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.pool import Lease
from vision_stream.llm.run import Run

RECENT = 64  # answers of a key that say how long its calls take, however old they are
KNOWN = 5  # answers before anything is made of them
PATIENCE = 3.0  # x their 95th percentile. More: slots are held in vain. Less: a rare long call is taken for a lost one.
LATEST = 8  # of them that are believed at once, where the endpoint has become slower
PATIENCE_NOW = 1.5  # x the longest of those
LEAST_S = 2.0  # of patience. Less: a quick endpoint's hiccup costs a call.
AGAIN_S = 1.0  # from the first sounding of a silence to the second, twice as long to each later one
LOOK_S = 0.25  # between two looks, while calls are under way
LATE_S = 0.5  # A look that comes so late says that this process stood still, not the endpoint.

C = TypeVar("C")
_log = structlog.get_logger(__name__)


class Silence(Generic[C]):
    """One key's calls under way, and when it was heard of. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self.patience_s = math.inf  # how long a call may take before it counts as hanging
        self.soundings = 0  # of this silence
        self._calls: dict[C, float] = {}  # when each began, the oldest first
        self._latencies: deque[float] = deque(maxlen=RECENT)
        self._heard_at = self._first_sounded_at = self._sounded_at = -math.inf
        self._lost_before = -math.inf  # calls that began before this were overtaken

    def began(self, call: C, now: float) -> None:
        self._calls[call] = now

    def ended(self, call: C) -> None:
        self._calls.pop(call, None)

    def answered(self, call: C, now: float) -> None:
        """A good answer; ``ended`` follows."""
        began = self._calls[call]
        if self.silent(now):
            self._lost_before = began
        self._latencies.append(now - began)
        if PATIENCE_NOW * (now - began) > self.patience_s or math.isinf(self.patience_s):
            self._learn()
        self.heard(now)

    def heard(self, now: float) -> None:
        """It speaks, whatever it says."""
        self._heard_at, self.soundings = now, 0

    def silent(self, now: float) -> bool:
        """Whether calls are under way, and none was answered for longer than one takes."""
        return bool(self._calls) and now - self._quiet_since() >= self.patience_s

    def lost(self, now: float, worth_another: Callable[[C], bool]) -> list[C]:
        """Calls to end and to make again, of those whose tasks are ``worth_another``."""
        self._learn()
        hanging = [call for call, began in self._calls.items() if now - began >= self.patience_s]
        overtaken = [call for call in hanging if self._calls[call] < self._lost_before and worth_another(call)]
        if overtaken or not self.silent(now) or now < self._sounds_again_at():
            return overtaken
        oldest = next((call for call in hanging if self._may_sound(call, now) and worth_another(call)), None)
        if oldest is None:
            return []
        self._first_sounded_at = self._first_sounded_at if self.soundings else now
        self._sounded_at, self.soundings = now, self.soundings + 1
        return [oldest]

    def _may_sound(self, call: C, now: float) -> bool:
        """A call that began in this silence, as a sounding does, has longer: a slow endpoint may yet answer it."""
        began = self._calls[call]
        if not self.soundings or began < self._first_sounded_at:
            return True
        return now - began >= self.patience_s * 2**self.soundings

    def _quiet_since(self) -> float:
        return max(self._heard_at, next(iter(self._calls.values())))

    def _sounds_again_at(self) -> float:
        return self._sounded_at + AGAIN_S * 2 ** (self.soundings - 1) if self.soundings else -math.inf

    def _learn(self) -> None:
        if len(self._latencies) >= KNOWN:
            recent, latest = sorted(self._latencies), list(self._latencies)[-LATEST:]
            long_s = recent[len(recent) * 95 // 100]
            self.patience_s = max(LEAST_S, PATIENCE * long_s, PATIENCE_NOW * max(latest))


class Flight(Block):
    """A call under way: an error or an answer ends the block as it would without; where it is to be made again, a
    ``TimeoutError`` does, and ``expired`` says so."""

    __slots__ = ("lease", "run", "silence")

    def __init__(self, loop: asyncio.AbstractEventLoop, lease: Lease, run: Run, silence: Silence[Flight]) -> None:
        super().__init__(loop)
        self.lease, self.run, self.silence = lease, run, silence


class Listening:
    """Looks after all keys' calls, on the running loop, while any is under way."""

    def __init__(self, worth_another: Callable[[Flight], bool]) -> None:
        self._worth_another = worth_another
        self._silences: dict[str, Silence[Flight]] = {}
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    @functools.cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def begin(self, lease: Lease, run: Run) -> Flight:
        """It owes an ``end``."""
        silence = self._silences.get(lease.key_id)
        if silence is None:
            silence = self._silences[lease.key_id] = Silence()
        flight = Flight(self._loop, lease, run, silence)
        silence.began(flight, self._loop.time())
        self._under_way += 1
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_S, self._look)
        return flight

    def answered(self, flight: Flight) -> None:
        if flight.silence.soundings:
            _log.info("API key is heard of again", key=flight.lease.key_id)
        flight.silence.answered(flight, self._loop.time())

    def failed(self, flight: Flight, failure: CallFailed) -> None:
        if failure.kind != "timeout":  # the endpoint said something, if only that it does not listen
            flight.silence.heard(self._loop.time())

    def end(self, flight: Flight) -> None:
        flight.silence.ended(flight)
        self._under_way -= 1

    def keep(self, key_ids: Collection[str]) -> None:
        """The keys that there are now; what was learned of others is forgotten."""
        self._silences = {key_id: silence for key_id, silence in self._silences.items() if key_id in key_ids}

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        assert self._timer is not None
        now = self._loop.time()
        late = now - self._timer.when() > LATE_S
        self._timer = self._loop.call_later(LOOK_S, self._look) if self._under_way else None
        for key_id, silence in self._silences.items():
            if late:
                silence.heard(now)
                continue
            for flight in silence.lost(now, self._worth_another):
                if silence.soundings == 1:
                    _log.warning("API key is silent: a call is made again", key=key_id, over_s=silence.patience_s)
                silence.ended(flight)
                flight.end()
