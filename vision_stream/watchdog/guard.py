"""The thread that looks, tells, and at last ends the process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import structlog
from faust.types import TP

from vision_stream import ending, metrics, topics
from vision_stream.errors import STUCK
from vision_stream.partition_counts import refusal
from vision_stream.stacks import task_stacks, thread_stacks
from vision_stream.watchdog.judge import KINDS, Judge, Trouble
from vision_stream.watchdog.view import View, view_of
from vision_stream.watchdog.witness import Witness

if TYPE_CHECKING:
    from vision_stream.app import App
    from vision_stream.delivery.consumer import Consumer

_log = structlog.get_logger(__name__)
LOOKS = 15  # in the time without progress that ends a worker
LAST_RESORT_S = 10.0  # for stacks, the commit of what is done and the goodbye to the group, once it is decided
TOLD = 0.5  # of the time without progress, and /readyz tells of it


class Guard:
    """Watches one app. ``end`` ends the worker in order, with an exit code; called in its event loop."""

    def __init__(self, app: App, *, end: Callable[[int], None]) -> None:
        after_s = app.settings.monitoring.watchdog.after_s
        self._app, self._end = app, end
        self._after_s, self._every_s = after_s, after_s / LOOKS
        self._judge = Judge(after_s, step_s=2 * self._every_s)
        self._view: View | None = None
        self._specs = topics.specs(app.settings)
        self._refused = False  # the last look saw other numbers of partitions than are configured
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._why: str | None = None

    async def watch(self) -> None:
        """Show the judge what there is to see, until cancelled or stopped: the event loop's half."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()
        try:
            while not self._stopped.is_set():
                self._view = view_of(self._app, self._view.beat + 1 if self._view else 0)
                await asyncio.sleep(self._every_s)
        finally:
            self.stop()

    def stop(self) -> None:
        """The worker ends; what stands still from now on is another's to notice."""
        self._stopped.set()

    def why_not_ready(self) -> str | None:
        return self._why

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            witness = Witness(self._app.settings)
            while not self._stopped.wait(self._every_s):
                view = self._view
                if view is not None:
                    self._look(view.answered(*runner.run(witness.ask(TP(p.topic, p.number) for p in view.partitions))))
                    self._count(witness.counts)
            runner.run(witness.close())

    def _look(self, view: View) -> None:
        troubles = self._judge.look(view, time.monotonic())
        for kind in KINDS:
            longest_s = max((trouble.for_s for trouble in troubles if trouble.kind == kind), default=0.0)
            metrics.no_progress.labels(kind).set(longest_s)
        worst = troubles[0] if troubles else None
        self._why = str(worst) if worst and worst.left_s < self._after_s * (1 - TOLD) else view.away
        if worst is not None and worst.left_s <= 0 and not self._stopped.is_set():
            self._act(worst)

    def _count(self, partitions: Mapping[str, int]) -> None:
        """End a worker behind whose back a topic got other partitions: nobody would read the new ones. At the second
        look, as a broker may be behind for a moment."""
        refused = refusal(self._specs, partitions, may_raise=False)
        if refused is not None and self._refused and not self._stopped.is_set():
            self.stop()
            _log.critical(
                "topics have changed: the worker ends",
                what=refused.what,
                remedy=refused.remedy,
                exit_code=refused.exit_code,
                error_id=refused.error_id,
            )
            self._loop.call_soon_threadsafe(self._end, refused.exit_code)
        self._refused = refused is not None

    def _act(self, trouble: Trouble) -> None:
        self.stop()
        ending.at_the_latest(LAST_RESORT_S, STUCK)  # also where a log line is what hangs
        _log.critical(
            "no progress: the worker ends", kind=trouble.kind, what=str(trouble), exit_code=STUCK, error_id="VS-601"
        )
        self._tell_stacks()
        if trouble.kind == "loop":
            os._exit(STUCK)
        self._loop.call_soon_threadsafe(self._end, STUCK)

    def _tell_stacks(self) -> None:
        for thread, stack in thread_stacks():
            _log.critical("stack", thread=thread, stack=stack)
        consumer = cast("Consumer", self._app.consumer)
        for name, loop in (("worker", self._loop), ("consumer", consumer.thread_loop)):
            for task, stack in task_stacks(loop):
                _log.critical("stack", loop=name, task=task, stack=stack)
