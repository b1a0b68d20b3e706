"""The thread that runs a source. Nobody waits for it without a limit, because a driver can hang for ever."""

from __future__ import annotations

import threading
from contextlib import closing

import structlog

from vision_stream.redaction import mask
from workers.capture.mailbox import Mailbox, SourceEnded
from workers.capture.sources.base import FrameSource, SourceError

_log = structlog.get_logger(__name__)


class Reader:
    """Reads a source into a mailbox until it ends, breaks off or ``stop`` is called."""

    def __init__(self, source: FrameSource, mailbox: Mailbox) -> None:
        self._source = source
        self._mailbox = mailbox
        self._stop = threading.Event()
        # A daemon: a thread that hangs in a driver must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"read {source.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; it does so when the read that it is in returns."""
        self._stop.set()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            with closing(self._source.frames(self._stop)) as frames:  # type: ignore[type-var]  # a generator
                for frame in frames:
                    if self._stop.is_set():
                        break
                    self._mailbox.put(frame, self._stop)
        except SourceError as error:
            self._mailbox.end(error)
        except Exception as error:  # OpenCV's own errors quote what they were given: mask them
            _log.error("source failed", source=self._source.name, error=mask(f"{type(error).__name__}: {error}"))
            self._mailbox.end(SourceError(f"{self._source.name} failed: {type(error).__name__}"))
        else:
            self._mailbox.end(SourceEnded())
