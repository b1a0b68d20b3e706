"""How a worker process ends: on Ctrl-C, on SIGTERM, or when its work does; never later than it promised, and at once
when it is told twice."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from vision_stream import ending
from vision_stream.probes import probes

END_WITHIN_S = 4.5  # of a signal, whatever hangs in a driver or a model; the promise is 5


class Ending:
    """Ends the work on Ctrl-C (exit code 130) and on SIGTERM (0), and the process itself if the work does not."""

    def __init__(self) -> None:
        self.code = 0
        self._told = asyncio.Event()
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
            with contextlib.suppress(NotImplementedError, RuntimeError):  # Windows: Ctrl-C cancels the whole
                asyncio.get_running_loop().add_signal_handler(number, self._tell, number, code)

    def _tell(self, number: int, code: int) -> None:
        self.code = code
        self._told.set()
        probes.require("ending", lambda: "the process ends")
        ending.at_once_at_the_next(number)
        ending.at_the_latest(END_WITHIN_S, code)

    def end(self, code: int) -> None:
        """As at a signal, and with this exit code: a part of the process hangs, or is of no more use."""
        self._tell(signal.SIGTERM, code)

    async def until_told(self, work: asyncio.Future[None]) -> None:
        told = asyncio.ensure_future(self._told.wait())
        try:
            await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
