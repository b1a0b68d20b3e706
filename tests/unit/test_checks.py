"""What ``doctor`` sees, says and returns; Kafka and Redis that are there: tests/integration/test_doctor.py."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.silent_names import no_name_server
from vision_stream import checks
from vision_stream.checks import clock, groups, machine, services
from vision_stream.cli import main
from vision_stream.cli.doctor import exit_code
from vision_stream.settings import ROLES, Role, Settings


def settings_with(**sections: Any) -> Settings:
    return Settings.model_validate(sections)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_without_kafka_neither_kafka_nor_redis_is_looked_for():
    found = {finding.name: finding for finding in await checks.run(settings_with(gateway={"port": 0}))}

    assert list(found) == list(checks.CHECKS)
    assert [found[name].level for name in ("kafka", "topics", "redis")] == ["unused"] * 3
    assert all("not used" in found[name].text for name in ("kafka", "topics", "redis"))


async def test_a_broker_that_is_not_there_is_a_dependency_not_reached(closed_port: int):
    settings = settings_with(enable_kafka_streaming=True, kafka={"bootstrap_servers": [f"127.0.0.1:{closed_port}"]})

    finding = await services.kafka(settings)

    assert finding.text.startswith(f"Failed to connect to Kafka at 127.0.0.1:{closed_port}: ")
    assert "vision-stream broker" in finding.remedy
    assert (finding.level, finding.exit_code) == ("wrong", 3)


async def test_a_server_that_is_none_of_kafka_is_not_taken_for_one(running_gateway: int):
    server = f"127.0.0.1:{running_gateway}"
    settings = settings_with(enable_kafka_streaming=True, kafka={"bootstrap_servers": [server]})

    finding = await services.kafka(settings)

    assert (finding.level, finding.exit_code) == ("wrong", 3)


async def test_a_redis_that_is_not_there_is_named_without_its_password(closed_port: int):
    url = f"redis://user:canary@127.0.0.1:{closed_port}/0"

    finding = await services.redis(settings_with(enable_redis=True, redis={"url": url}))

    assert f"redis://127.0.0.1:{closed_port}/0" in finding.text
    assert (finding.level, finding.exit_code) == ("wrong", 3)
    assert "canary" not in repr(finding)


async def test_a_url_that_is_none_of_redis_is_a_wrong_configuration():
    finding = await services.redis(settings_with(enable_redis=True, redis={"url": "http://u:canary@localhost"}))

    assert (finding.level, finding.exit_code) == ("wrong", 2)
    assert "canary" not in repr(finding)


async def test_services_that_accept_and_never_answer_do_not_hold_the_doctor(taken_port: int):
    settings = settings_with(
        enable_kafka_streaming=True,
        enable_redis=True,
        kafka={"bootstrap_servers": [f"127.0.0.1:{taken_port}"]},
        redis={"url": f"redis://127.0.0.1:{taken_port}"},
        gateway={"port": 0},
    )
    started = time.monotonic()

    found = {finding.name: finding for finding in await checks.run(settings, within_s=0.5)}

    assert time.monotonic() - started < 3
    assert [found[name].exit_code for name in ("kafka", "topics", "redis")] == [3, 3, 3]


async def test_no_key_is_a_note_and_keys_are_counted_by_endpoint():
    key = {"id": "a", "api_key": "sk-canary", "base_url": "http://llm/v1"}

    without = await machine.keys(settings_with(llm={"keys": [key | {"enabled": False}]}))
    with_one = await machine.keys(settings_with(llm={"keys": [key]}))

    assert (without.level, without.text) == ("note", "no enabled API key (1 configured)")
    assert (with_one.level, with_one.text) == ("ok", "1 enabled, for http://llm/v1")


async def test_a_model_file_must_be_there(tmp_path: Path):
    path = tmp_path / "model.onnx"

    missing = await machine.model(settings_with(model={"path": str(path)}))
    path.write_bytes(b"\0" * 2_000_000)
    there = await machine.model(settings_with(model={"path": str(path)}))

    assert (missing.level, missing.exit_code, missing.text) == ("wrong", 2, f"no file {path}")
    assert there.text == f"{path} (2.0 MB)"


async def test_free_disk_is_looked_at_where_the_data_will_be(tmp_path: Path):
    finding = await machine.disk(settings_with(data_dir=str(tmp_path / "not" / "yet")))

    assert finding.text.endswith(f" MB free at {tmp_path}")


async def test_a_free_port_is_fine_and_a_taken_one_is_not(closed_port: int, taken_port: int):
    free = await machine.gateway_port(settings_with(gateway={"port": closed_port}))
    taken = await machine.gateway_port(settings_with(gateway={"port": taken_port}))

    assert free.level == "ok"
    assert (taken.level, taken.exit_code) == ("wrong", 2)
    assert "ALGO_GATEWAY_PORT" in taken.remedy


@pytest.fixture
async def running_gateway() -> AsyncIterator[int]:
    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_a_port_that_our_own_gateway_has_is_fine(running_gateway: int):
    finding = await machine.gateway_port(settings_with(gateway={"port": running_gateway}))

    assert (finding.level, finding.text) == ("ok", f"a gateway already runs on 127.0.0.1:{running_gateway}")


async def test_a_name_server_that_is_silent_holds_up_neither_the_doctor_nor_the_end_of_its_loop():
    with no_name_server():
        found = await checks.run(settings_with(gateway={"host": "gate.example"}), within_s=0.3)
        async with asyncio.timeout(5):
            await asyncio.get_running_loop().shutdown_default_executor()  # as the end of a loop does

    assert {each.name: each.text for each in found}["port"] == "no answer within 0.3 s"


async def test_a_check_that_blocks_its_thread_is_given_up():
    never = asyncio.Event()

    async def stuck(settings: Settings) -> checks.Finding:
        await never.wait()
        raise AssertionError

    finding = await checks._bounded("disk", stuck, Settings(), 0.05)

    assert (finding.level, finding.text) == ("wrong", "no answer within 0.05 s")


async def test_a_system_that_confines_no_decoder_is_noted_where_cameras_come_over_the_api(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(machine, "can_confine", lambda: False)

    used = await machine.sandbox(settings_with(gateway={"camera_control": True}))
    unused = await machine.sandbox(settings_with())

    assert (used.level, used.exit_code, unused.level) == ("note", 0, "unused")
    assert "6.7" in used.remedy


@pytest.mark.parametrize(
    ("codes", "expected"), [([], 0), ([1], 1), ([1, 3], 3), ([3, 2, 1], 2)], ids=["fine", "other", "service", "config"]
)
def test_one_exit_code_stands_for_all(codes: list[int], expected: int):
    findings = [checks.Finding("x", "wrong", "", "", code) for code in codes]

    assert exit_code([*findings, checks.Finding("y", "note", "")]) == expected


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "model.onnx").write_bytes(b"x")
    monkeypatch.setenv("ALGO_MODEL_PATH", "model.onnx")
    monkeypatch.setenv("ALGO_GATEWAY_PORT", "0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def doctor(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *arguments])
    return int(ended.value.code or 0)


def test_the_doctor_says_one_line_for_each_thing_and_its_remedy(alone: Path, capsys: pytest.CaptureFixture[str]):
    code = doctor()

    output = capsys.readouterr().out
    assert code == 0, output

    lines = output.splitlines()
    assert "-      kafka    not used (enable_kafka_streaming is false)" in lines
    assert "note   keys     no enabled API key (0 configured)" in lines
    assert lines[-1] == "nothing is wrong"


def test_the_doctor_ends_with_3_where_kafka_is_needed_and_away(
    alone: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("ALGO_ENABLE_KAFKA_STREAMING", "true")
    monkeypatch.setenv("ALGO_ENABLE_REDIS", "false")
    monkeypatch.setenv("ALGO_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{closed_port}")

    assert doctor("--json") == 3

    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["exit_code"]) == (False, 3)
    assert [check["name"] for check in report["checks"] if check["level"] == "wrong"] == ["kafka", "topics", "groups"]


def test_the_doctor_ends_with_2_where_the_configuration_is_wrong(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("ALGO_GATEWAY_PORT", "http")

    assert doctor() == 2
    assert "environment ALGO_GATEWAY_PORT" in capsys.readouterr().err


def a_group(name: str, *roles: Role, members: int = 1, behind: int = 0) -> groups.Group:
    return groups.Group(name, frozenset(roles or ROLES), members, behind)


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        ([], "note", "no worker has run"),
        ([a_group("vs", behind=3)], "ok", "vs: 1 members, 3 behind"),
        ([a_group("vs", behind=100_000)], "note", "100000 behind"),
        ([a_group("vs", members=0)], "note", "nobody runs task_generator, llm_scheduler, result_aggregator"),
        ([a_group("vs", members=0, behind=7)], "wrong", "messages wait, and nobody runs"),
        ([a_group("a", "task_generator", "result_aggregator"), a_group("b", "llm_scheduler", members=0, behind=9)],
         "wrong", "nobody runs llm_scheduler"),
        ([a_group("old", members=0, behind=9), *(a_group(role, role) for role in ROLES)], "ok", "old: 0 members"),
    ],
    ids=["none", "all well", "far behind", "stopped", "stopped with work", "a role missing", "roles instead of one"],
)  # fmt: skip
def test_groups_are_judged_by_who_runs_each_role_and_what_waits(found: list[groups.Group], level: str, said: str):
    finding = groups.judge(found)
    assert finding.level == level
    assert said in finding.text
    assert finding.remedy or level == "ok"


def test_clocks_that_are_apart_are_wrong_and_by_how_much_is_said():
    assert clock.judge({"Redis": 0.2}).level == "ok"
    finding = clock.judge({"Kafka's controller": 0.1, "Redis": -12.5})
    assert (finding.level, finding.exit_code) == ("wrong", 1)
    assert "Redis -12.50 s" in finding.text


async def test_versions_are_those_that_this_project_asks_for():
    finding = await machine.versions(settings_with())
    assert finding.level == "ok", finding.text
    assert "faust-streaming" in finding.text


async def test_a_package_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine.metadata, "requires", lambda name: ["aiokafka>=99", 'pytest>=99; extra == "dev"'])
    finding = await machine.versions(settings_with())
    assert (finding.level, finding.exit_code) == ("wrong", 1)
    assert "aiokafka>=99" in finding.text
    assert "pytest" not in finding.text


async def test_the_next_free_metrics_port_is_told_and_those_in_use(taken_port: int):
    settings = settings_with(monitoring={"prometheus": {"port": taken_port}}, gateway={"port": 0})
    finding = await machine.worker_ports(settings)
    assert finding.level == "ok"
    assert f"{taken_port}" in finding.text.partition(", ")[2]
