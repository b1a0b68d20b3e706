"""The LLM simulator, spoken to by the official openai client and by plain HTTP."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator

import aiohttp
import cv2
import msgspec
import numpy as np
import openai
import pytest

from vision_stream.errors import ConfigError
from vision_stream.simulators.llm import Fixed, LLMSimulator, Lognormal, SimulatedKey, SimulatorOptions, parse_latency

KEYS = (
    SimulatedKey("key-001", "sk-canary-1"),
    SimulatedKey("key-002", "sk-canary-2", qps_limit=2),
    SimulatedKey("key-003", "sk-canary-3", rpm_limit=3),
)
SCHEMA = {
    "type": "object",
    "properties": {"risk_level": {"enum": ["none", "low", "medium", "high"]}, "cars_seen": {"type": "integer"}},
}


@pytest.fixture
async def simulator() -> AsyncIterator[LLMSimulator]:
    async with LLMSimulator(SimulatorOptions(keys=KEYS, latency=Fixed(0.0))) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: LLMSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with a_client(simulator, "sk-canary-1") as client:
        yield client


def a_client(simulator: LLMSimulator, secret: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=secret, base_url=simulator.base_url, max_retries=0, timeout=5)


def a_picture(colour: int = 90) -> str:
    _, jpeg = cv2.imencode(".jpg", np.full((64, 64, 3), colour, np.uint8))
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()


async def ask(client: openai.AsyncOpenAI, text: str = "Is it dangerous?", *, picture: str | None = None, **options):
    parts: list = [{"type": "text", "text": text}]
    if picture:
        parts.append({"type": "image_url", "image_url": {"url": picture}})
    return await client.chat.completions.create(
        model="vision-sim", messages=[{"role": "user", "content": parts}], **options
    )


async def test_openais_client_sends_a_picture_and_gets_json_of_the_schema_it_asked_for(client):
    wanted = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": SCHEMA}}
    answer = await ask(client, picture=a_picture(), response_format=wanted)
    verdict = msgspec.json.decode(answer.choices[0].message.content)
    assert set(verdict) == {"risk_level", "cars_seen"}
    assert answer.usage.prompt_tokens > 255
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_the_models_are_listed(client):
    assert "vision-sim" in [model.id async for model in client.models.list()]


async def test_an_unknown_key_gets_401_and_is_not_in_the_log(simulator):
    async with a_client(simulator, "sk-someone-else") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await ask(stranger)
    assert [(call.key, call.status) for call in simulator.calls] == [("unknown", 401)]
    assert "sk-" not in str(simulator.calls)


async def test_more_than_a_keys_second_holds_gets_429_with_retry_after(simulator):
    async with a_client(simulator, "sk-canary-2") as client:
        await ask(client)
        await ask(client)
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(client)
    assert 0 < float(refused.value.response.headers["retry-after"]) <= 1


async def test_more_than_a_keys_minute_holds_gets_429(simulator):
    async with a_client(simulator, "sk-canary-3") as client:
        for _ in range(3):
            await ask(client)
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(client)
    assert 55 < float(refused.value.response.headers["retry-after"]) <= 60


async def test_every_answer_says_what_remains_of_a_keys_requests_and_tokens():
    key = SimulatedKey("key-001", "sk-canary-1", rpm_limit=5, tpm_limit=3000)
    options = SimulatorOptions(keys=(key,), latency=Fixed(0.0))
    async with LLMSimulator(options) as simulator, a_client(simulator, key.secret) as client:
        answer = await client.chat.completions.with_raw_response.create(
            model="vision-sim", messages=[{"role": "user", "content": "hello"}], max_tokens=900
        )
        usage = answer.parse().usage
    assert usage is not None
    found = {name: value for name, value in answer.headers.items() if name.startswith("x-ratelimit")}
    assert (found["x-ratelimit-limit-requests"], found["x-ratelimit-remaining-requests"]) == ("5", "4")
    assert (found["x-ratelimit-limit-tokens"], found["x-ratelimit-remaining-tokens"]) == (
        "3000",
        str(3000 - usage.total_tokens),
    )


async def test_more_tokens_than_a_keys_minute_holds_get_429_that_says_when_there_is_room():
    key = SimulatedKey("key-001", "sk-canary-1", tpm_limit=1000)
    options = SimulatorOptions(keys=(key,), latency=Fixed(0.0))
    async with LLMSimulator(options) as simulator, a_client(simulator, key.secret) as client:
        await ask(client, max_tokens=900)
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(client, max_tokens=990)
        await ask(client, max_tokens=100)  # neither what was refused counts nor what was asked for too much
    headers = refused.value.response.headers
    assert headers["x-ratelimit-remaining-tokens"] == "0"
    assert 55 < float(headers["x-ratelimit-reset-tokens"].removesuffix("s")) <= 60
    assert 55 < float(headers["retry-after"]) <= 60


async def test_the_same_text_is_always_judged_the_same_and_texts_differ(client):
    def level(answer) -> str:
        return msgspec.json.decode(answer.choices[0].message.content)["risk_level"]

    json_mode = {"type": "json_object"}
    first = [level(await ask(client, f"scene {n}", response_format=json_mode)) for n in range(30)]
    again = [level(await ask(client, f"scene {n}", response_format=json_mode)) for n in range(30)]
    assert first == again
    assert len(set(first)) > 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
        ("cut", openai.APIConnectionError),
    ],
)
async def test_a_fault_on_demand_is_what_openais_client_would_meet(simulator, client, fault, error):
    simulator.fault(fault, times=1)
    with pytest.raises(error):
        await ask(client)
    await ask(client)  # and it was one only


async def test_a_liar_fits_the_schema_and_says_the_opposite(simulator, client):
    json_mode = {"type": "json_object"}
    truth = msgspec.json.decode((await ask(client, response_format=json_mode)).choices[0].message.content)
    simulator.fault("lying")
    lie = msgspec.json.decode((await ask(client, response_format=json_mode)).choices[0].message.content)
    assert lie.keys() == truth.keys()
    assert (truth["risk_level"] in ("none", "low")) == (lie["risk_level"] in ("high", "medium"))


async def test_a_slow_endpoint_takes_as_long_as_it_is_told(simulator, client):
    simulator.fault("slow", delay_s=0.3)
    began = time.monotonic()
    await ask(client)
    assert time.monotonic() - began >= 0.3


async def test_a_picture_that_is_no_data_url_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="data:image"):
        await ask(client, picture="http://192.0.2.1/picture.jpg")


async def test_an_endpoint_without_structured_output_refuses_it_and_answers_plainly_otherwise():
    options = SimulatorOptions(keys=KEYS, latency=Fixed(0.0), structured_output="none")
    async with LLMSimulator(options) as simulator, a_client(simulator, "sk-canary-1") as client:
        with pytest.raises(openai.BadRequestError, match="response_format"):
            await ask(client, response_format={"type": "json_object"})
        answer = await ask(client)
    assert "```json" in answer.choices[0].message.content


async def test_control_switches_faults_by_key_and_calls_shows_what_happened(simulator, client):
    before = time.time()
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{simulator.url}/control", json={"fault": "500", "keys": ["key-002"]}) as answer:
            assert answer.status == 200
        await ask(client)  # key-001 is not hit
        async with a_client(simulator, "sk-canary-2") as other:
            with pytest.raises(openai.InternalServerError):
                await ask(other)
        async with http.post(f"{simulator.url}/control", json={"fault": "earthquake"}) as answer:
            assert answer.status == 400
        async with http.get(f"{simulator.url}/calls", params={"since": str(before)}) as answer:
            text = await answer.text()
    log = msgspec.json.decode(text)
    assert [(call["key"], call["status"]) for call in log["calls"]] == [("key-001", 200), ("key-002", 500)]
    assert "canary" not in text


async def test_the_call_log_is_written_as_json_lines(tmp_path):
    path = tmp_path / "logs" / "calls.jsonl"
    options = SimulatorOptions(keys=KEYS, latency=Fixed(0.0), call_log=path)
    async with LLMSimulator(options) as simulator, a_client(simulator, "sk-canary-1") as client:
        await ask(client)
    [line] = path.read_text().splitlines()
    assert msgspec.json.decode(line)["key"] == "key-001"
    assert "canary" not in line


def test_latencies_are_read_or_refused():
    assert parse_latency("0.2") == Fixed(0.2)
    assert parse_latency("lognormal:1.2,4") == Lognormal(1.2, 4.0)
    for wrong in ("fast", "-1", "lognormal:4,1", "lognormal:1"):
        with pytest.raises(ConfigError, match="not understood"):
            parse_latency(wrong)
