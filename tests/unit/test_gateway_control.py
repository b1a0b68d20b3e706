"""Cameras started and stopped over the API: who may, what may be asked, and that nothing is reached by what may not."""

from __future__ import annotations

import asyncio
import itertools
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from yarl import URL

from tests.gateway_parts import Gateway, MemoryCommands, a_gateway, hear, listening
from tests.hostile_sources import HOSTILE, LEAD_ELSEWHERE
from tests.waiting import eventually
from vision_stream.api_networks import system_resolver
from vision_stream.errors import DependencyError
from vision_stream.messages import CameraCommand
from workers.gateway.desk import PER_MINUTE

API = "/api/v1/cameras"
JSON = {"Content-Type": "application/json"}
NORTH = {"id": "north", "source": "rtsp://viewer:hunter22@10.0.0.5/1", "name": "North"}
SPARE = {"id": "spare", "source": "rtsp://10.0.0.6/1", "enabled": False}
CAMERA = {"camera_id": "yard", "source": "rtsp://10.0.0.7/1"}


async def asked(gateway: Gateway, method: str, path: str, body: Any = None, **how: Any) -> tuple[int, Any]:
    async with gateway.client.request(method, path, json=body, **how) as answer:
        found = await answer.json() if answer.content_type == "application/json" else None
        return answer.status, (found.get("code", found) if found else None)


async def listed(gateway: Gateway) -> dict[str, tuple[str, bool, str]]:
    async with gateway.client.get(API) as answer:
        cameras = (await answer.json())["cameras"]
    return {camera["camera_id"]: (camera["known_by"], camera["watched"], camera["state"]) for camera in cameras}


async def test_a_camera_that_the_request_describes_is_watched_until_it_is_stopped_or_forgotten():
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper, cameras=[NORTH]) as gateway:
        assert (await asked(gateway, "POST", API, CAMERA | {"fps": 5, "name": "Yard"}))[0] == 201
        assert (await listed(gateway))["yard"] == ("api", True, "unknown")
        assert (keeper.kept["yard"].fps, keeper.kept["yard"].name) == (5, "Yard")

        assert (await asked(gateway, "POST", f"{API}/yard/stop", {}))[0] == 200
        assert (await listed(gateway))["yard"] == ("api", False, "disabled")

        assert (await asked(gateway, "POST", f"{API}/yard/start", {}))[0] == 200
        assert (keeper.kept["yard"].source, keeper.kept["yard"].fps) == (CAMERA["source"], 5)

        assert (await asked(gateway, "DELETE", f"{API}/yard"))[0] == 204
        assert list(await listed(gateway)) == ["north"]
        assert keeper.kept == {}


async def test_a_configured_camera_is_started_and_stopped_by_its_id():
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper, cameras=[NORTH, SPARE]) as gateway:
        assert (await asked(gateway, "POST", API, {"camera_id": "spare", "fps": 1}))[0] == 200
        assert (await asked(gateway, "POST", f"{API}/north/stop", {}))[0] == 200
        assert await listed(gateway) == {
            "north": ("configuration", False, "disabled"),
            "spare": ("configuration", True, "unknown"),
        }
        assert (await asked(gateway, "DELETE", f"{API}/north"))[0] == 204
        assert (await listed(gateway))["north"] == ("configuration", True, "unknown")

    assert keeper.kept["spare"].source is None


async def test_open_dashboards_hear_of_it():
    async with a_gateway(keeper=MemoryCommands()) as gateway, listening(gateway) as ws:
        await asked(gateway, "POST", API, CAMERA)

        assert (await hear(ws))["type"] == "cameras_changed"


@pytest.mark.parametrize(
    ("method", "path", "body", "answered"),
    [
        ("POST", API, {"camera_id": "north", "source": "rtsp://10.0.0.9/"}, (409, "configured_camera")),
        ("POST", API, {"camera_id": "other"}, (404, "unknown_camera")),
        ("POST", API, {"camera_id": "a", "source": "rtsp://10.0.0.5:554/1"}, (409, "source_known")),
        ("POST", API, {"camera_id": "a", "source": "RTSP://10.0.0.6/1"}, (409, "source_known")),
        ("POST", API, {"camera_id": "a", "source": "sim:nothing"}, (403, "bad_source")),
        ("POST", API, {"camera_id": "a", "source": "sim:quiet?width=99999"}, (403, "bad_source")),
        ("POST", API, {"camera_id": "../a", "source": "sim:quiet"}, (400, "bad_request")),
        ("POST", API, {"camera_id": "a", "source": "sim:quiet", "fps": 0}, (400, "bad_request")),
        ("POST", API, {"camera_id": "a", "sourse": "sim:quiet"}, (400, "bad_request")),
        ("POST", API, [], (400, "bad_request")),
        ("POST", f"{API}/other/start", {}, (404, "unknown_camera")),
        ("POST", f"{API}/other/stop", {}, (404, "unknown_camera")),
        ("DELETE", f"{API}/north", None, (404, "unknown_camera")),
    ],
)
async def test_what_cannot_be_done_is_said(method: str, path: str, body: Any, answered: tuple[int, str]):
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper, cameras=[NORTH, SPARE]) as gateway:
        assert await asked(gateway, method, path, body) == answered

    assert keeper.kept == {}


async def test_one_source_is_not_watched_as_two_cameras():
    async with a_gateway(keeper=MemoryCommands()) as gateway:
        await asked(gateway, "POST", API, CAMERA)

        assert await asked(gateway, "POST", API, CAMERA | {"camera_id": "again"}) == (409, "source_known")
        assert (await asked(gateway, "POST", API, CAMERA))[0] == 200


async def test_the_api_adds_so_many_cameras_and_no_more():
    async with a_gateway(keeper=MemoryCommands(), max_api_cameras=2) as gateway:
        wanted = [{"camera_id": f"c{n}", "source": f"rtsp://10.0.0.{n}/"} for n in range(3)]

        answers = [await asked(gateway, "POST", API, body) for body in wanted]

        assert [status for status, _ in answers] == [201, 201, 409]
        assert answers[-1][1] == "too_many_cameras"
        await asked(gateway, "DELETE", f"{API}/c0")
        assert (await asked(gateway, "POST", API, wanted[2]))[0] == 201


async def test_commands_have_a_rate():
    async with a_gateway(keeper=MemoryCommands(), cameras=[NORTH]) as gateway:
        answers = [await asked(gateway, "POST", f"{API}/north/stop", {}) for _ in range(PER_MINUTE + 1)]

    assert {status for status, _ in answers[:-1]} == {200}
    assert answers[-1] == (429, "too_many_commands")


CHANGES = [("POST", API), ("POST", f"{API}/north/start"), ("POST", f"{API}/north/stop"), ("DELETE", f"{API}/north")]


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_unless_a_setting_allows_it_nothing_is_started_and_stopped(method: str, path: str):
    async with a_gateway(cameras=[NORTH]) as gateway:
        assert await asked(gateway, method, path, {}) == (403, "control_off")


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        pytest.param({"Origin": "https://evil.example", **JSON}, (403, "bad_origin"), id="a page of another origin"),
        pytest.param({"Origin": "null", **JSON}, (403, "bad_origin"), id="a page without one"),
        pytest.param({"Content-Type": "text/plain"}, (415, "not_json"), id="a form"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, (415, "not_json"), id="another form"),
        pytest.param({"Host": "evil.example", **JSON}, (403, None), id="a name that was made to lead here"),
    ],
)
async def test_a_foreign_page_starts_and_stops_nothing(method: str, path: str, headers: dict[str, str], answered: Any):
    keeper = MemoryCommands()
    async with (
        a_gateway(keeper=keeper, cameras=[NORTH]) as gateway,
        gateway.client.request(method, path, data=b"{}", headers=headers) as answer,
    ):
        code = (await answer.json())["code"] if answer.content_type == "application/json" else None
        wrong_type = method == "DELETE" and answered[0] == 415  # has no body: a browser asks first
        assert (answer.status, code) == ((404, "unknown_camera") if wrong_type else answered)

    assert keeper.kept == {}


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_without_the_token_nothing_is_started_and_stopped(method: str, path: str):
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper, cameras=[NORTH], token="correct-horse-battery") as gateway:
        assert (await asked(gateway, method, path, {}))[0] == 401

    assert keeper.kept == {}


async def test_a_command_that_is_not_confirmed_is_an_error_and_changes_nothing():
    class Away(MemoryCommands):
        async def put(self, command: CameraCommand) -> None:
            raise DependencyError("Kafka did not confirm the command")

    async with a_gateway(keeper=Away(), cameras=[NORTH]) as gateway:
        assert await asked(gateway, "POST", f"{API}/north/stop", {}) == (503, "not_delivered")
        assert (await listed(gateway))["north"] == ("configuration", True, "unknown")


async def test_closing_a_browser_stops_no_camera():
    keeper = MemoryCommands()
    async with a_gateway(keeper=keeper) as gateway:
        async with listening(gateway, ["yard"]), listening(gateway, ["yard"]):
            await asked(gateway, "POST", API, CAMERA)
        commands = dict(keeper.kept)

        assert (await listed(gateway))["yard"][1]
        assert [command.action for command in commands.values()] == ["start"]


class Canaries:
    """Where hostile sources lead: listeners of both families and protocols, and a file. Python itself says what this
    process does beyond them: connections to anywhere, commands, files of the file's directory."""

    def __init__(self, port: int, file: Path) -> None:
        self.port = port
        self.file = file
        self.hit: list[str] = []
        self.gateway_port = 0

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
            self.hit.append(event)
        elif event in ("socket.connect", "socket.sendto") and arguments[1][1:2] != (self.gateway_port,):
            self.hit.append(f"{event} {arguments[1]}")
        elif event == "open" and str(arguments[0]).startswith((str(self.file.parent), "/etc/passwd", "/dev/video")):
            self.hit.append(f"{event} {arguments[0]}")


_audited: list[Canaries] = []  # a hook cannot be taken back
sys.addaudithook(lambda event, arguments: [canaries.audit(event, arguments) for canaries in _audited] and None)


@pytest.fixture
async def canaries(tmp_path: Path) -> AsyncIterator[Canaries]:
    file = tmp_path / "secret.mp4"
    file.write_bytes(b"\x00\x00\x00\x18ftypmp42")
    async with AsyncExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        found = Canaries(port, file)

        async def on_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.hit.append("tcp")
            writer.close()

        for host in ("127.0.0.1", "::1", "0.0.0.0"):
            try:
                server = await asyncio.start_server(on_tcp, host, port)
            except OSError:  # no IPv6 here, or the address is taken by the one before
                continue
            await stack.enter_async_context(server)
        loop = asyncio.get_running_loop()

        class OnUdp(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                found.hit.append("udp")

        transport, _ = await loop.create_datagram_endpoint(OnUdp, local_addr=("127.0.0.1", port))
        stack.callback(transport.close)
        _audited.append(found)
        stack.callback(_audited.clear)
        yield found


async def test_no_hostile_source_hits_anything(canaries: Canaries):
    keeper, expected = MemoryCommands(), {**HOSTILE, **dict.fromkeys(LEAD_ELSEWHERE, "source_address")}
    found: dict[str, tuple[int, str]] = {}
    with capture_logs() as logs:
        async with a_gateway(keeper=keeper, clock=itertools.count(step=60.0).__next__) as gateway:
            canaries.gateway_port = URL(gateway.url).port or 0
            for template in expected:
                source = template.replace("{port}", str(canaries.port)).replace("{file}", str(canaries.file))
                async with gateway.client.post(API, json={"camera_id": "evil", "source": source}) as answer:
                    logs.append({"event": await answer.text()})
                    found[template] = (answer.status, (await answer.json())["code"])

    too_short_or_long = {template: (400, "bad_request") for template in expected if not 1 <= len(template) <= 1000}
    assert len(expected) >= 100
    assert found == {template: (403, code) for template, code in expected.items()} | too_short_or_long
    assert canaries.hit == []
    assert keeper.kept == {}
    assert "hunter22" not in str(logs)


async def test_the_canaries_sing(canaries: Canaries):
    _, writer = await asyncio.open_connection("127.0.0.1", canaries.port)
    writer.close()
    canaries.file.read_bytes()

    await eventually(lambda: "tcp" in canaries.hit)
    assert {f"socket.connect ('127.0.0.1', {canaries.port})", f"open {canaries.file}"} <= set(canaries.hit)


@pytest.mark.parametrize("name", ["localhost", "ip6-localhost", "camera.example"])
async def test_a_name_that_leads_to_this_machine_is_refused(name: str, canaries: Canaries):
    async def resolve(host: str) -> Sequence[str]:
        return await system_resolver("localhost") if host != "camera.example" else ["127.0.0.1", "169.254.169.254"]

    async with a_gateway(keeper=MemoryCommands(), resolve=resolve) as gateway:
        canaries.gateway_port = URL(gateway.url).port or 0
        body = {"camera_id": "evil", "source": f"http://{name}:{canaries.port}/"}
        assert await asked(gateway, "POST", API, body) == (403, "source_address")

    assert canaries.hit == []


async def test_a_name_that_is_not_known_is_refused():
    async def resolve(host: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    async with a_gateway(keeper=MemoryCommands(), resolve=resolve) as gateway:
        body = {"camera_id": "a", "source": "rtsp://camera.example/"}
        assert await asked(gateway, "POST", API, body) == (403, "source_unknown")
