"""The supervisor over small programs that behave as services do, well and badly. Real processes, no broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.waiting import eventually
from vision_stream.server_process import free_ports
from vision_stream.services import control, state
from vision_stream.services.plan import SERVICES, Service, plan
from vision_stream.services.process import ProcessId, identify, is_running
from vision_stream.services.restarts import LONGEST_WAIT_S, STEADY_S, Restarts, ended
from vision_stream.services.supervisor import STOP_FILE, Supervisor
from vision_stream.settings import Settings

READY = """
import http.server, json, os, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"status": "ok", "pid": os.getpid()}).encode())
    def log_message(self, *args): pass
print("here I am", flush=True)
http.server.HTTPServer(("127.0.0.1", int(os.environ["ALGO_MONITORING_PROMETHEUS_PORT"])), Page).serve_forever()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY
BROKEN = "import sys; print('Failed to connect to Kafka'); sys.exit(3)"
SILENT = "import time; time.sleep(60)"
MISCONFIGURED_LATER = READY.replace(".serve_forever()", ".handle_request(); sys.exit(2)")


class Program(Service, frozen=True, kw_only=True):
    code: str

    @property
    def argv(self) -> tuple[str, ...]:
        return (sys.executable, "-c", self.code)


def program(directory: Path, name: str, code: str) -> Program:
    metrics, web = free_ports(2)
    return Program(
        name=name, role="task_generator", metrics_listens_at="127.0.0.1", metrics_port=metrics, web_port=web,
        log=directory / "logs" / f"{name}.log", pid_file=directory / f"{name}.pid", code=code,
    )  # fmt: skip


@asynccontextmanager
async def supervised(directory: Path, *codes: str, ready_within_s: float = 20, stop_within_s: float = 5):
    """The task that runs the supervisor over services called a, b, ...; ended with the block."""
    services = [program(directory, name, code) for name, code in zip("abc", codes, strict=False)]
    supervisor = Supervisor(services, directory, ready_within_s=ready_within_s, stop_within_s=stop_within_s)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(supervisor.run())
        yield run
        await asyncio.to_thread((directory / STOP_FILE).touch)


def now(directory: Path) -> dict[str, state.ServiceState]:
    seen = state.read(directory)
    return {service.name: service for service in seen.services} if seen else {}


def phase(directory: Path) -> str:
    seen = state.read(directory)
    return seen.phase if seen else ""


def pid_of(directory: Path, name: str) -> int:
    return int((directory / f"{name}.pid").read_text())


async def test_all_get_ready_and_end_together_leaving_no_pid_file(tmp_path: Path):
    async with supervised(tmp_path, READY, READY) as run:
        await eventually(lambda: phase(tmp_path) == "running", within_s=20)
        pids = [pid_of(tmp_path, "a"), pid_of(tmp_path, "b")]
        assert all(identify(pid) for pid in pids)

    assert run.result() == 0
    assert phase(tmp_path) == "stopped"
    assert not [pid for pid in pids if identify(pid)]
    assert list(tmp_path.glob("*.pid")) == []
    assert (tmp_path / "logs" / "a.log").read_text() == "here I am\n"


async def test_one_that_fails_at_the_start_ends_the_others_and_its_last_lines_are_the_reason(tmp_path: Path):
    async with supervised(tmp_path, READY, BROKEN) as run:
        assert await asyncio.wait_for(run, 20) == 3

    seen = state.read(tmp_path)
    assert seen is not None
    assert seen.phase == "failed"
    assert "b ended with exit code 3" in seen.why
    assert "Failed to connect to Kafka" in seen.why
    assert list(tmp_path.glob("*.pid")) == []


async def test_one_that_is_not_ready_in_time_fails_the_start(tmp_path: Path):
    async with supervised(tmp_path, SILENT, ready_within_s=0.5, stop_within_s=2) as run:
        assert await asyncio.wait_for(run, 20) == 1
    seen = state.read(tmp_path)
    assert seen is not None
    assert "a was not ready within 0.5 s" in seen.why


async def test_one_that_is_killed_runs_again_and_the_others_never_stopped(tmp_path: Path):
    async with supervised(tmp_path, READY, READY):
        await eventually(lambda: phase(tmp_path) == "running", within_s=20)
        killed, other = pid_of(tmp_path, "a"), pid_of(tmp_path, "b")

        os.kill(killed, signal.SIGKILL)

        await eventually(lambda: now(tmp_path)["a"].restarts == 1 and now(tmp_path)["a"].condition == "ready", 20)
        assert pid_of(tmp_path, "a") != killed
        assert pid_of(tmp_path, "b") == other


async def test_one_that_calls_its_configuration_wrong_is_given_up(tmp_path: Path):
    async with supervised(tmp_path, READY, MISCONFIGURED_LATER):
        await eventually(lambda: now(tmp_path).get("b") and now(tmp_path)["b"].condition == "given up", within_s=20)
        assert now(tmp_path)["a"].condition == "ready"
        assert not (tmp_path / "b.pid").exists()


async def test_one_that_does_not_end_is_killed(tmp_path: Path):
    async with supervised(tmp_path, STUBBORN, stop_within_s=0.2) as run:
        await eventually(lambda: phase(tmp_path) == "running", within_s=20)
        pid = pid_of(tmp_path, "a")
    assert run.result() == 0
    assert identify(pid) is None


async def test_another_process_that_answers_on_the_port_is_not_taken_for_the_service(tmp_path: Path):
    service = program(tmp_path, "a", SILENT)
    environ = {**os.environ, **service.environ}
    supervisor = Supervisor([service], tmp_path, ready_within_s=1.0, stop_within_s=2)
    run = asyncio.ensure_future(supervisor.run())
    await eventually(lambda: (tmp_path / "a.pid").exists())
    with subprocess.Popen([sys.executable, "-c", READY], env=environ, stdout=subprocess.DEVNULL) as stranger:
        try:
            assert await asyncio.wait_for(run, 20) == 1
        finally:
            stranger.kill()


async def test_a_second_supervisor_is_refused(tmp_path: Path):
    with state.held(tmp_path), pytest.raises(state.AlreadyRunning), state.held(tmp_path):
        pass


def test_a_pid_that_went_to_another_process_is_not_the_supervisor(tmp_path: Path):
    me = identify(os.getpid())
    assert me is not None
    reused = ProcessId(me.pid, "an earlier boot")
    state.write(tmp_path, state.State(began_at=0, supervisor=reused, phase="running"))
    (tmp_path / "scheduler.pid").write_text(f"{me.pid}\n")

    assert control.running(tmp_path) is None
    assert control.stop(tmp_path, within_s=1, say=print) is False
    assert list(tmp_path.glob("*.pid")) == []
    assert is_running(me)


def test_services_that_a_killed_supervisor_left_are_ended(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", SILENT]) as orphan:
        gone = ProcessId(orphan.pid, "long ago")
        service = state.ServiceState(
            name="a", role="task_generator", condition="ready", process=identify(orphan.pid), metrics_port=1,
            web_port=2, log="",
        )  # fmt: skip
        state.write(tmp_path, state.State(began_at=0, supervisor=gone, phase="running", services=(service,)))

        assert control.stop(tmp_path, within_s=5, say=print) is True
        assert orphan.wait(timeout=5) != 0


def test_the_three_services_have_a_role_a_log_and_ports_each(tmp_path: Path):
    services = plan(Settings(data_dir=str(tmp_path)), tmp_path / "logs")
    assert [(service.name, service.role) for service in services] == list(SERVICES.items())
    assert [service.log.name for service in services] == [
        "task_generator.log",
        "scheduler.log",
        "result_aggregator.log",
    ]
    assert len({port for service in services for port in (service.metrics_port, service.web_port)}) == 6


def test_waits_grow_to_their_limit_and_start_anew_after_a_steady_run():
    past, waits = Restarts(), []
    for _ in range(8):
        past, wait = ended(past, -9, ran_s=1.0)
        waits.append(wait)
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert ended(past, 1, ran_s=STEADY_S) == (Restarts(9, 2.0), 1.0)


@pytest.fixture(autouse=True)
async def _no_child_left(tmp_path: Path) -> AsyncIterator[None]:
    yield
    assert not [each for each in now(tmp_path).values() if is_running(each.process)]
