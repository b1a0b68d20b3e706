"""Start, stop and look at the services, from a process that does not outlive the call. Each may be called twice."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vision_stream.errors import VisionStreamError
from vision_stream.server_process import tail
from vision_stream.services import state as states
from vision_stream.services.process import end, is_running
from vision_stream.services.state import AlreadyRunning, State
from vision_stream.services.supervisor import STOP_FILE

LOOK_EVERY_S = 0.1
SLACK_S = 15.0  # beyond what the supervisor gives the services, before it is judged by what it does not do

Say = Callable[[str], None]


def running(directory: Path) -> State | None:
    """What a supervisor that runs says; None where none does."""
    state = states.read(directory)
    return state if state is not None and is_running(state.supervisor) else None


def start(directory: Path, *, ready_within_s: float, stop_within_s: float, argv: list[str], say: Say) -> State:
    """Run a supervisor, or find the one that runs, and wait until all services are ready.

    Args:
        argv: options of ``vision-stream services run``.
    Raises:
        VisionStreamError: a service did not come up, and the others were ended; says its last lines.
    """
    found = running(directory)
    if found is not None and found.phase in ("starting", "running"):
        say(f"already running (supervisor {found.supervisor.pid})")
        return _wait(directory, None, found.began_at, ready_within_s + SLACK_S, say)
    if found is not None and not _gone(found, stop_within_s + SLACK_S):
        raise VisionStreamError(f"the last supervisor ({found.supervisor.pid}) still stops", remedy="stop it first")
    _end_orphans(states.read(directory), stop_within_s, say)
    directory.mkdir(parents=True, exist_ok=True)
    words = directory / "supervisor.out"  # its last words, should it not come as far as its log
    command = [sys.executable, "-m", "vision_stream", "services", "run", *argv]
    began = time.time()
    with words.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        return _wait(directory, child, began, ready_within_s + stop_within_s + SLACK_S, say)
    except KeyboardInterrupt:  # the supervisor is in a session of its own, and did not hear it
        stop(directory, within_s=stop_within_s, say=say)
        raise


def _wait(directory: Path, child: subprocess.Popen[bytes] | None, since: float, within_s: float, say: Say) -> State:
    """Follow a start until all are ready."""
    until = time.monotonic() + within_s
    told: dict[str, str] = {}
    while time.monotonic() < until:
        state = _since(since, states.read(directory))
        if state is not None:
            _tell(state, told, say)
            _fail_if_over(state)
            if state.phase == "running" and all(service.condition == "ready" for service in state.services):
                return state
        if child is not None and (code := child.poll()) is not None and state is None:
            if code != AlreadyRunning.exit_code:
                raise _ended(code, tail(directory / "supervisor.out"))
            child, since = None, 0.0  # another start was quicker: follow that
        time.sleep(LOOK_EVERY_S)
    raise VisionStreamError(
        f"not all services are ready after {within_s:.0f} s", remedy="see `vision-stream services status`"
    )


def _since(moment: float, state: State | None) -> State | None:
    """Not the state of an earlier run."""
    return state if state is not None and state.began_at >= moment else None


def _tell(state: State, told: dict[str, str], say: Say) -> None:
    for service in state.services:
        if service.condition == "ready" and told.get(service.name) != "ready":
            told[service.name] = "ready"
            process = service.process.pid if service.process else "?"
            say(f"✓ {service.name} ready (pid {process}, metrics :{service.metrics_port}, web :{service.web_port})")


def _fail_if_over(state: State) -> None:
    if not is_running(state.supervisor):
        raise _ended(state.exit_code, state.why)
    if state.phase in ("stopping", "stopped"):
        raise VisionStreamError("the services were stopped while they started")
    if state.phase == "running":
        for service in state.services:
            if service.condition in ("waiting", "given up"):
                raise VisionStreamError(
                    f"{service.name} {service.why}, and is {service.condition}",
                    remedy=f"read {service.log}; then stop and start the services",
                )


def _ended(code: int, why: str) -> VisionStreamError:
    error = VisionStreamError(why or "the supervisor ended, and did not say why")
    error.exit_code = code or 1
    return error


def stop(directory: Path, *, within_s: float, say: Say) -> bool:
    """End the services, gracefully within ``within_s`` seconds, else by force; False where none ran."""
    state = running(directory)
    if state is None:
        orphans = _end_orphans(states.read(directory), within_s, say)
        _drop_stale_files(directory)
        return orphans
    (directory / STOP_FILE).touch()
    if not _gone(state, within_s + SLACK_S):
        say(f"the supervisor ({state.supervisor.pid}) did not end within {within_s + SLACK_S:g} s, and is killed")
        end(state.supervisor, kill=True)
        _end_orphans(states.read(directory), 0.0, say)
        _drop_stale_files(directory)
    return True


def _drop_stale_files(directory: Path) -> None:
    """PID files and a request to stop, when nothing runs: their numbers may be another process's by now."""
    for path in (*directory.glob("*.pid"), directory / STOP_FILE):
        path.unlink(missing_ok=True)


def _gone(state: State, within_s: float) -> bool:
    until = time.monotonic() + within_s
    while is_running(state.supervisor):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _end_orphans(state: State | None, within_s: float, say: Say) -> bool:
    """End services whose supervisor is gone; on Linux the kernel has, elsewhere they may have outlived it."""
    processes = [service.process for service in (state.services if state else ()) if service.process is not None]
    left = [process for process in processes if is_running(process)]
    if not left:
        return False
    say(f"ending {len(left)} services that a killed supervisor left")
    for process in left:
        end(process)
    until = time.monotonic() + within_s
    while any(is_running(process) for process in left) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    for process in left:
        end(process, kill=True)
    return True
