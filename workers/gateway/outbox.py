"""What one session has not been sent yet: events in order up to a bound, and the newest of everything else.

So a slow browser costs a bounded amount of memory, misses old detections first, and gets the newest when it reads.
"""

from __future__ import annotations

from collections import deque

from workers.gateway.protocol import Push

MAX_EVENTS = 500  # assessments and alerts; about 2 MB. Beyond it the oldest is dropped


class Outbox:
    def __init__(self, *, max_events: int = MAX_EVENTS) -> None:
        self._events: deque[tuple[float, Push]] = deque()
        self._newest: dict[tuple[str, str], tuple[float, Push]] = {}  # by slot, the longest waiting first
        self._max_events = max_events

    def __len__(self) -> int:
        return len(self._events) + len(self._newest)

    def put(self, push: Push, now: float, *, as_state: bool = False) -> Push | None:
        """Queue ``push``; returns what it displaced, which will never be sent.

        ``as_state`` queues an event as the known state of its slot: a later event of that slot replaces it.
        """
        if push.event and not as_state:
            self._newest.pop(push.slot, None)  # the state it would have repeated
            self._events.append((now, push))
            return self._events.popleft()[1] if len(self._events) > self._max_events else None
        waiting_since, displaced = self._newest.get(push.slot, (now, None))
        self._newest[push.slot] = (waiting_since, push)  # keeps its place, so that no camera waits for ever
        return displaced

    def take(self) -> tuple[float, Push] | None:
        """The next to send, and since when its slot has waited; events first."""
        if self._events:
            return self._events.popleft()
        if self._newest:
            return self._newest.pop(next(iter(self._newest)))
        return None

    def forget(self, camera_id: str | None = None) -> None:
        """Drop what waits for one camera, or for all."""
        if camera_id is None:
            self._events.clear()
            self._newest.clear()
            return
        self._events = deque(item for item in self._events if item[1].camera_id != camera_id)
        self._newest = {slot: item for slot, item in self._newest.items() if item[1].camera_id != camera_id}
