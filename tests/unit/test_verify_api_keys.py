"""`scripts/verify_api_keys.py` and `vision-stream keys`: what works, what does not, and no key printed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.llm_parts import CANARY, keys_for, simulated
from vision_stream.llm.client import AiohttpClient
from vision_stream.llm.verification import verify
from vision_stream.settings import KeySettings
from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "verify_api_keys.py"


async def run_script(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments, *(["--config-dir", str(config)] if config else [])]
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, env=environ, check=False
    )


def written(tmp_path: Path, keys: Sequence[KeySettings], *, quoted: str = '"') -> Path:
    lines = ["keys:"]
    for key in keys:
        secret = key.api_key.get_secret_value()
        lines.append(
            f"  - {{id: {key.id}, api_key: {quoted}{secret}{quoted}, base_url: '{key.base_url}', model: {key.model}}}"
        )
    (tmp_path / "api_keys.yaml").write_text("\n".join(lines))
    return tmp_path


def a_simulator(*keys: str, **options) -> LLMSimulator:
    return LLMSimulator(SimulatorOptions(keys=simulated(*keys), latency=Fixed(0.0), **options))


async def test_what_each_endpoint_can_is_found_out():
    client = AiohttpClient()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        most = ("json_schema", "json_object", "none")
        endpoints = [await stack.enter_async_context(a_simulator(f"{m}", structured_output=m)) for m in most]
        keys = [key for endpoint in endpoints for key in keys_for(endpoint)]
        findings = await verify(keys, client, timeout_s=5.0)
    assert [(found.id, found.ok, found.vision, found.json) for found in findings] == [
        ("json_schema", True, "yes", "json_schema"),
        ("json_object", True, "yes", "json_object"),
        ("none", True, "yes", "text"),
    ]


@pytest.mark.parametrize(
    ("fault", "words"), [("401", "401 Incorrect API key"), ("429", "429 Rate limit"), ("cut", "the connection failed")]
)
async def test_a_key_that_fails_comes_with_the_providers_words(fault, words):
    client = AiohttpClient()
    async with a_simulator("bad") as simulator:
        simulator.fault(fault)
        [found] = await verify(keys_for(simulator), client, timeout_s=5.0)
    await client.close()
    assert not found.ok
    assert found.words.startswith(words)


async def test_an_endpoint_that_refuses_pictures_is_said_not_to_see():
    client = AiohttpClient()
    async with a_simulator("blind") as simulator:
        simulator.fault("400", times=1)
        [found] = await verify(keys_for(simulator), client, timeout_s=5.0)
    await client.close()
    assert (found.ok, found.vision, found.words) == (False, "no", "it does not see pictures")


async def test_the_script_prints_a_table_and_exits_0_when_enough_keys_work(tmp_path):
    async with a_simulator("key-001", "key-002", "key-003", "key-004") as simulator:
        simulator.fault("401", keys=("key-004",))
        done = await run_script(config=written(tmp_path, keys_for(simulator)))
    assert done.returncode == 0, done.stderr
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["KEY", "ENDPOINT", "MODEL", "VISION", "JSON", "RESULT", "LATENCY"]
    assert [row.split()[0] for row in rows] == ["key-001", "key-002", "key-003", "key-004"]
    assert [" ok " in row for row in rows] == [True, True, True, False]
    assert "Incorrect API key" in rows[3]
    assert CANARY not in done.stdout + done.stderr


async def test_the_script_exits_1_when_too_few_work_and_min_says_how_many_are_enough(tmp_path):
    async with a_simulator("key-001") as simulator:
        config = written(tmp_path, keys_for(simulator))
        few, enough = await run_script(config=config), await run_script("--min", "1", "--json", config=config)
    assert few.returncode == 1
    assert "1 of 1 keys work; wanted are at least 3" in few.stderr
    assert enough.returncode == 0
    assert json.loads(enough.stdout)[0]["vision"] == "yes"


async def test_the_script_exits_2_on_a_wrong_configuration_and_prints_no_key(tmp_path):
    (tmp_path / "api_keys.yaml").write_text(f"keys: [{{id: key-001, api_key: sk-{CANARY}-1, rpm_limit: 0}}]")
    done = await run_script(config=tmp_path)
    assert done.returncode == 2
    assert "rpm_limit" in done.stderr
    assert CANARY not in done.stdout + done.stderr
