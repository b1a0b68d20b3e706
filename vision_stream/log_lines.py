"""Log lines on their way to stderr: each at once, but those that are said often, which go together.

A system call a line, and waking who reads it, costs a busy process more than all else of a line. So what is said once
a call waits for others, at most ``SOON_S`` and until another line of ours is said: our order stays, and a process that
is killed, or ends without its exit handlers, loses no more than that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import structlog

EventDict = structlog.types.EventDict

SOON_S = 0.01  # Longer: more is lost with a killed process. Shorter: at 2,000 calls a second hardly two go together.
TOGETHER = 16  # lines. More: longer than the 4 KB that a pipe takes whole, so another process's could cut one in two.


class Lines:
    """Renders lines and writes them to a handler's stream, from any thread."""

    def __init__(self, handler: logging.StreamHandler[Any], render: Callable[[Sequence[EventDict]], str]) -> None:
        """``render`` makes a text of lines, each with its end."""
        self._handler, self._render = handler, render
        self._lock = handler.lock or threading.RLock()
        self._waiting: list[EventDict] = []
        self._looks: asyncio.AbstractEventLoop | None = None  # which loop will come for those that wait

    def write(self, line: EventDict) -> None:
        """Now, after those that wait."""
        with self._lock:
            self._waiting.append(line)
            self.flush()

    def write_soon(self, line: EventDict) -> None:
        """With others, where a loop runs that can come back for them. The line's values must not change any more."""
        with self._lock:
            self._waiting.append(line)
            if len(self._waiting) >= TOGETHER or not self._looked_after():
                self.flush()

    def _looked_after(self) -> bool:
        """Whether a loop will come for those that wait."""
        if self._looks is None or self._looks.is_closed():  # the latter: it ended before it came
            try:
                self._looks = asyncio.get_running_loop()
            except RuntimeError:
                return False
            self._looks.call_later(SOON_S, self._look)
        return True

    def flush(self) -> None:
        """Write those that wait."""
        with self._lock:
            lines, self._waiting = self._waiting, []
            if not lines:
                return
            text = self._render(lines)
            try:
                self._handler.stream.write(text)
                self._handler.stream.flush()
            except (OSError, ValueError):  # nobody reads stderr
                return

    def _look(self) -> None:
        self._looks = None
        self.flush()


class Line:
    """Says the lines of one logger. Its level is that of the standard library's logger of the same name."""

    disabled = False

    def __init__(self, name: str, lines: Lines, *, often: bool) -> None:
        """``often``: what it says below a warning is said together with others."""
        self.name = name
        self.getEffectiveLevel = logging.getLogger(name).getEffectiveLevel
        self.debug = self.info = lines.write_soon if often else lines.write
        self.warning = self.error = self.critical = lines.write
