"""The one thread in which frames are looked at: never on the event loop, and never two at once on the same cores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Inference:
    """A thread of its own, which cameras may share. Not the loop's default threads: those also look up host names,
    which would then wait behind pictures."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")

    async def run(self, look: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``look`` in the thread, after those that came before. A camera asks for one frame at a time, so no
        more wait than there are cameras."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: look(*args, **kwargs))

    def close(self) -> None:
        """Take no more; what runs now ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
