"""The process that owns the services: starts them together, runs again what ends by itself, ends them together.

A start is all or nothing: a service that ends or does not get ready in time ends the others too, with its last lines
as the reason. Once all were ready, a service that ends is run again after a wait (see ``restarts``) and the others go
on: what it did not handle waits in Kafka.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from vision_stream.errors import VisionStreamError
from vision_stream.services import state as states
from vision_stream.services.child import Child, how_it_ended
from vision_stream.services.plan import Service
from vision_stream.services.process import identify, is_or_is_of
from vision_stream.services.state import Phase, State

LOOK_EVERY_S = 0.2
ASK_EVERY_S = 1.0  # a service that runs, whether it is ready
ANSWER_WITHIN_S = 2.0
STOP_FILE = "stop"

_log = structlog.get_logger(__name__)


class Supervisor:
    """One run over ``services``; ``directory`` is where its state and PID files go."""

    def __init__(self, services: Sequence[Service], directory: Path, *, ready_within_s: float, stop_within_s: float):
        self._directory = directory
        self._children = [Child(service) for service in services]
        self._ready_within_s, self._stop_within_s = ready_within_s, stop_within_s
        self._told = asyncio.Event()
        self._phase: Phase = "starting"
        self._why, self._exit_code = "", 0
        self._began_at = time.time()
        self._asked_at = 0.0
        self._written: State | None = None

    async def run(self) -> int:
        """Until told to stop, by a signal or by the stop file; returns the exit code.

        The caller holds the directory (``state.held``).
        """
        (self._directory / STOP_FILE).unlink(missing_ok=True)
        states.replace_file(self._directory / "supervisor.pid", f"{os.getpid()}\n".encode())
        with self._signals():
            try:
                for child in self._children:
                    child.start()
                self._show()
                if await self._all_ready():
                    self._turn("running")
                    await self._watch()
            except VisionStreamError as error:
                self._fail(str(error), error.exit_code)
            finally:
                await self._end()
        return self._exit_code

    @contextlib.contextmanager
    def _signals(self):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # Windows: the stop file alone
                loop.add_signal_handler(number, self._told.set)
        yield

    # The start

    async def _all_ready(self) -> bool:
        """False where it was told to stop; raises VisionStreamError where a service does not come up."""
        until = time.monotonic() + self._ready_within_s
        while not await self._told_to_stop():
            for child in self._children:
                if not child.running:
                    raise _did_not_start(child, how_it_ended(child.returncode))
            await self._ask()
            self._show()
            late = [child for child in self._children if child.condition != "ready"]
            if not late:
                return True
            if time.monotonic() > until:
                raise _did_not_start(late[0], f"was not ready within {self._ready_within_s:g} s ({late[0].why})")
        return False

    # The watch

    async def _watch(self) -> None:
        while not await self._told_to_stop():
            for child in self._children:
                self._look_at(child)
            await self._ask()
            self._show()

    def _look_at(self, child: Child) -> None:
        now = time.monotonic()
        if child.condition in ("starting", "ready", "not ready") and not child.running:
            child.after_end()
            wait = "not again: correct its configuration, then stop and start"
            if child.again_at is not None:
                wait = f"again in {child.again_at - now:.0f} s"
            _log.error("service ended", service=child.service.name, how=child.why, then=wait)
        elif child.again_at is not None and now >= child.again_at:
            _log.info("service started again", service=child.service.name, restarts=child.restarts.count)
            with contextlib.suppress(VisionStreamError):  # no memory, no descriptors: looked at again as an end
                child.start()

    async def _ask(self) -> None:
        """Ask those that run whether they are ready, those that start at each look."""
        hurry = any(child.condition == "starting" for child in self._children)
        if not hurry and time.monotonic() - self._asked_at < ASK_EVERY_S:
            return
        self._asked_at = time.monotonic()
        running = [child for child in self._children if child.running]
        answers = await asyncio.gather(
            *(asyncio.to_thread(_why_not_ready, child.service, child.pid) for child in running)
        )
        for child, why in zip(running, answers, strict=True):
            if why and child.condition == "ready":
                _log.warning("service not ready", service=child.service.name, why=why)
            elif not why and child.condition != "ready":
                _log.info("service ready", service=child.service.name, pid=child.pid)
            child.why = why
            if not why or child.condition != "starting":
                child.condition = "not ready" if why else "ready"

    # The end

    async def _end(self) -> None:
        if self._phase != "failed":
            self._turn("stopping")
        await asyncio.gather(*(child.stop(self._stop_within_s) for child in self._children))
        if self._phase != "failed":
            self._turn("stopped")
        self._show()
        for child in self._children:
            child.close()
        for name in (STOP_FILE, "supervisor.pid"):
            (self._directory / name).unlink(missing_ok=True)

    async def _told_to_stop(self) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), LOOK_EVERY_S)
        return self._told.is_set() or (self._directory / STOP_FILE).exists()

    # What others see

    def _turn(self, phase: Phase) -> None:
        self._phase = phase
        _log.info("services", phase=phase)
        self._show()

    def _fail(self, why: str, exit_code: int) -> None:
        self._why, self._exit_code = why, exit_code
        _log.error("services did not start", why=why)
        self._turn("failed")

    def _show(self) -> None:
        me = identify(os.getpid())
        assert me is not None
        shown = State(
            began_at=self._began_at,
            supervisor=me,
            phase=self._phase,
            why=self._why,
            exit_code=self._exit_code,
            services=tuple(child.state() for child in self._children),
        )
        if shown != self._written:
            self._written = shown
            states.write(self._directory, shown)


def _did_not_start(child: Child, how: str) -> VisionStreamError:
    said = "\n".join(f"  | {line}" for line in child.last_lines().splitlines()) or "  (it said nothing)"
    error = VisionStreamError(f"{child.service.name} {how}; its last lines, in {child.service.log}:\n{said}")
    error.exit_code = child.returncode if child.returncode in (2, 3) else 1  # configuration, Kafka
    return error


def _why_not_ready(service: Service, pid: int) -> str:
    """What it says itself; empty: ready."""
    try:
        said = _answer(service.ready_url)
    except (OSError, ValueError):
        return f"no answer at {service.ready_url} yet"
    if not is_or_is_of(int(said.pop("pid", 0)), pid):
        return f"another process answers at {service.ready_url}"
    if said.pop("status", "") == "ok":
        return ""
    return "; ".join(f"{name}: {why}" for name, why in said.items())


def _answer(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:  # a 503 says why
        with error:
            return json.load(error)
