"""The gateway shows the cameras as they are configured now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway_parts import a_gateway, a_status, hear, listening
from tests.waiting import eventually
from vision_stream.background import Background
from vision_stream.config import load_with_places
from vision_stream.settings import CameraSettings
from workers.gateway import keys
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster, follow


def a_camera(camera_id: str, **fields: object) -> CameraSettings:
    return CameraSettings.model_validate({"id": camera_id, "source": "sim:quiet", **fields})


async def summaries(gateway) -> dict[str, dict]:
    async with gateway.client.get("/api/v1/cameras") as answer:
        return {camera["camera_id"]: camera for camera in (await answer.json())["cameras"]}


@pytest.mark.parametrize("wanted", ["*", ["some-other"]], ids=["all", "named"])
async def test_a_browser_is_told_that_the_cameras_are_others_and_rest_has_them(wanted):
    async with a_gateway() as gateway, listening(gateway, wanted) as ws:
        gateway.app[keys.ROSTER].take([a_camera("gate", name="North gate")])

        assert await hear(ws) == {"type": "cameras_changed"}
        assert (await summaries(gateway))["gate"]["name"] == "North gate"


async def test_the_same_cameras_again_are_no_news():
    async with a_gateway() as gateway, listening(gateway) as ws:
        gateway.app[keys.ROSTER].take([a_camera("gate")])
        assert await hear(ws) == {"type": "cameras_changed"}

        gateway.app[keys.ROSTER].take([a_camera("gate")])
        await gateway.hub.status(a_status())

        assert (await hear(ws))["type"] == "camera_status"


async def test_a_camera_that_is_gone_from_the_configuration_is_listed_while_it_was_heard_of():
    async with a_gateway() as gateway:
        gateway.app[keys.ROSTER].take([a_camera("silent"), a_camera("heard", name="Yard")])
        await gateway.hub.status(a_status("heard", state="disabled"))

        gateway.app[keys.ROSTER].take([])

        left = await summaries(gateway)
    assert [(name, camera["name"], camera["state"]) for name, camera in left.items()] == [
        ("heard", "heard", "disabled")
    ]


async def test_the_file_is_followed(tmp_path: Path):
    file = tmp_path / "cameras.yaml"
    file.write_text("cameras:\n  - {id: gate, source: 0}\n")
    configured = lambda: load_with_places(tmp_path, environ={})  # noqa: E731
    roster, background = Roster((), Hub()), Background()
    background.spawn(follow(configured, roster), name="follow")
    try:
        await eventually(lambda: "gate" in roster.cameras, within_s=20)

        def renamed() -> bool:
            file.write_text("cameras:\n  - {id: gate, source: 0, name: North gate, enabled: false}\n")
            return roster.cameras["gate"].name == "North gate"

        await eventually(renamed, within_s=20)
        assert not roster.cameras["gate"].enabled
    finally:
        await background.close()
