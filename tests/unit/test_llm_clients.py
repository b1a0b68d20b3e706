"""Both clients, aiohttp's and openai's, held to one behaviour against the simulator over real HTTP."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import AsyncIterator

import pytest

from tests.llm_parts import CANARY, JPEG, a_task, keys_for, simulated
from vision_stream.llm.chat import Request
from vision_stream.llm.client import AiohttpClient, VisionClient, is_local, proxy_for
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.prompts import prompt_for
from vision_stream.llm.verdict import parse_verdict
from vision_stream.settings import KeySettings
from vision_stream.simulators.llm import Fixed, LLMSimulator, SimulatorOptions

REQUEST = Request(prompt=prompt_for(a_task(), JPEG), model="vision-sim")


@pytest.fixture
async def simulator() -> AsyncIterator[LLMSimulator]:
    options = SimulatorOptions(keys=simulated("key-001"), latency=Fixed(0.0), judge="hash")
    async with LLMSimulator(options) as simulator:
        yield simulator


@pytest.fixture
def key(simulator) -> KeySettings:
    return keys_for(simulator)[0]


@pytest.fixture(params=["aiohttp", "openai"])
async def client(request) -> AsyncIterator[VisionClient]:
    if request.param == "aiohttp":
        client: VisionClient = AiohttpClient()
    else:
        from vision_stream.llm.openai_client import OpenAIClient

        client = OpenAIClient()
    yield client
    await client.close()


async def failure_of(client: VisionClient, key: KeySettings, *, timeout_s: float = 5.0) -> CallFailed:
    with pytest.raises(CallFailed) as failed:
        await client.complete(key, REQUEST, timeout_s=timeout_s)
    assert CANARY not in f"{failed.value} {failed.value!r}"
    return failed.value


@pytest.mark.parametrize("mode", ["json_schema", "json_object", "text"])
async def test_a_call_brings_a_verdict_and_its_tokens(client, simulator, key, mode):
    request = Request(prompt=REQUEST.prompt, model="vision-sim", mode=mode)
    answer = await client.complete(key, request, timeout_s=5.0)
    assert parse_verdict(answer.content, {0, 1}).risk_level in ("none", "low", "medium", "high")
    assert (answer.model, answer.finish_reason) == ("vision-sim", "stop")
    assert answer.input_tokens > 255
    assert answer.output_tokens > 0
    assert [(call.key, call.pictures) for call in simulator.calls] == [("key-001", 1)]


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("400", "bad_request", 400),
        ("401", "unauthorized", 401),
        ("403", "unauthorized", 403),
        ("429", "rate_limited", 429),
        ("500", "server", 500),
        ("503", "unavailable", 503),
        ("garbage", "unreadable", 200),
        ("cut", "connection", None),
        ("redirect", "misconfigured", 307),
    ],
)
async def test_every_failure_has_its_kind_and_is_tried_once(client, simulator, key, fault, kind, status):
    simulator.fault(fault)
    failure = await failure_of(client, key)
    assert (failure.kind, failure.status) == (kind, status)
    assert len(simulator.calls) == 1  # what is tried again is the pool's decision


@pytest.mark.parametrize("fault", ["timeout", "trickle"])
async def test_a_call_ends_at_its_timeout_whatever_the_other_side_does(client, simulator, key, fault):
    simulator.fault(fault)
    began = time.monotonic()
    assert (await failure_of(client, key, timeout_s=0.3)).kind == "timeout"
    assert time.monotonic() - began < 5  # the other side would go on for longer; a busy machine is late by seconds


@pytest.mark.parametrize(("said", "seconds"), [(None, None), ("3", 3.0), ("date", 2.0)])
async def test_retry_after_is_read_as_seconds_or_date(client, simulator, key, said, seconds):
    simulator.fault("429", retry_after=said)
    failure = await failure_of(client, key)
    assert failure.retry_after == (None if seconds is None else pytest.approx(seconds, abs=1.1))


async def test_a_refused_connection_is_said_to_be_one(client, key):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = key.model_copy(update={"base_url": f"http://127.0.0.1:{closed.getsockname()[1]}/v1"})
        assert (await failure_of(client, nowhere)).kind == "connection"


async def test_a_wrong_key_is_unauthorized(client, simulator, key):
    stranger = KeySettings(id="x", api_key=f"sk-{CANARY}-x", base_url=simulator.base_url)  # type: ignore[arg-type]
    assert (await failure_of(client, stranger)).kind == "unauthorized"


async def test_a_wrong_path_is_misconfigured(client, simulator, key):
    lost = key.model_copy(update={"base_url": f"{simulator.url}/v9"})
    assert (await failure_of(client, lost)).kind == "misconfigured"


@pytest.mark.parametrize(("fault", "finish"), [("truncated", "length"), ("refused", "content_filter")])
async def test_an_answer_that_stopped_early_says_so(client, simulator, key, fault, finish):
    simulator.fault(fault)
    assert (await client.complete(key, REQUEST, timeout_s=5.0)).finish_reason == finish


async def test_a_form_of_answer_the_endpoint_lacks_is_unsupported(client):
    options = SimulatorOptions(keys=simulated("key-001"), latency=Fixed(0.0), structured_output="json_object")
    async with LLMSimulator(options) as simulator:
        assert (await failure_of(client, keys_for(simulator)[0])).kind == "unsupported"


async def test_no_secret_reaches_a_log(client, simulator, key, caplog):
    caplog.set_level(logging.DEBUG)
    await client.complete(key, REQUEST, timeout_s=5.0)
    simulator.fault("401")
    await failure_of(client, key)
    assert CANARY not in caplog.text


def test_proxies_are_taken_from_the_environment_but_never_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    proxy_for.cache_clear()
    try:
        assert proxy_for("https://api.openai.com/v1/chat/completions") == "http://proxy.example:3128"
        assert proxy_for("https://inside.example/v1") is None
        assert proxy_for("http://127.0.0.1:8001/v1") is None
        assert proxy_for("http://[::1]:8001/v1") is None
    finally:
        proxy_for.cache_clear()
    assert not is_local("localhost.example")
