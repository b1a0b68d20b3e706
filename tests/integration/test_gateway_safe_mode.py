"""A gateway with an invalid configuration serves what is wrong, and goes on once it is corrected."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp
import pytest

from tests.waiting import eventually
from vision_stream.server_process import ServerProcess, free_ports
from workers.gateway.safe_mode import HOST, PORT, address

ROOT = Path(__file__).parents[2]
WRONG = "keys:\n  - {id: key-001, api_key: sk-canary-key-12345, rpm_limit: -3}\n"


async def get(url: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientError:
        return 0, ""


def gateway(tmp_path: Path, host: str) -> tuple[ServerProcess, str]:
    port, kafka = free_ports(2)
    environ = {
        "ALGO_CONFIG_DIR": str(tmp_path),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "false",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka}",
        "ALGO_GATEWAY_TOKEN": "canary-token-0123456789",
    }
    argv = (sys.executable, "-m", "vision_stream", "gateway", "--host", host, "--port", str(port))
    process = ServerProcess("gateway", argv, log=tmp_path / "gateway.log", cwd=ROOT, environ=environ)
    return process, f"http://127.0.0.1:{port}"


async def test_it_says_what_is_wrong_and_becomes_the_dashboard_once_that_is_corrected(tmp_path: Path):
    (tmp_path / "api_keys.yaml").write_text(WRONG)
    process, url = gateway(tmp_path, "127.0.0.1")
    process.start()
    try:
        await eventually(lambda: _answers(f"{url}/", 503), within_s=30)
        _, page = await get(f"{url}/")
        assert "keys[0].rpm_limit" in page
        assert "canary" not in page + (tmp_path / "gateway.log").read_text()
        assert (await get(f"{url}/healthz"))[0] == 200
        assert (await get(f"{url}/api/v1/cameras"))[0] == 503

        (tmp_path / "api_keys.yaml").write_text(WRONG.replace("-3", "60"))

        await eventually(lambda: _is_dashboard(url), within_s=30)
    finally:
        await process.stop(within_s=15)


async def test_others_than_loopback_are_sent_to_the_log_and_sigterm_ends_it_in_order(tmp_path: Path):
    (tmp_path / "api_keys.yaml").write_text(WRONG)
    process, url = gateway(tmp_path, "0.0.0.0")
    process.start()
    try:
        await eventually(lambda: _answers(f"{url}/", 503), within_s=30)
        _, page = await get(f"{url}/")
        assert "rpm_limit" not in page
        assert "vision-stream check-config" in page
    finally:
        await process.stop(within_s=15)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("given", "environ", "wanted"),
    [
        ((None, None), {}, (HOST, PORT)),
        ((None, None), {"ALGO_GATEWAY_HOST": "0.0.0.0", "ALGO_GATEWAY_PORT": "8080"}, ("0.0.0.0", 8080)),
        ((None, None), {"ALGO_GATEWAY_PORT": "soon"}, (HOST, PORT)),
        (("::1", 0), {"ALGO_GATEWAY_PORT": "8080"}, ("::1", 0)),
    ],
)
def test_it_serves_where_the_gateway_would(
    given: tuple[str | None, int | None], environ: dict[str, str], wanted: tuple[str, int]
):
    assert address(*given, environ) == wanted


async def _answers(url: str, status: int) -> bool:
    return (await get(url))[0] == status


async def _is_dashboard(url: str) -> bool:
    status, page = await get(f"{url}/")
    return status == 200 and "Safe mode" not in page
