"""What a capture process begins with, and what it does when its configuration changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.films import two_cars_driving, write_film
from tests.unit.test_capture_fleet import Yard
from vision_stream.config import load_with_places
from vision_stream.errors import ConfigError
from vision_stream.settings import CameraSettings, KafkaSettings
from workers.capture import following
from workers.capture.following import Follow, Following

NO_KAFKA = KafkaSettings(bootstrap_servers=("127.0.0.1:1",))


class House(Yard):
    """A yard whose cameras stand in a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(write_film(folder / "film.avi", two_cars_driving())))
        self.folder = folder
        self.following: Following | None = None

    def write(self, *cameras: str) -> tuple[CameraSettings, ...]:
        lines = "".join(f"  - {camera}\n" for camera in cameras)
        (self.folder / "next").write_text(f"cameras:\n{lines}")
        (self.folder / "next").rename(self.folder / "cameras.yaml")
        return load_with_places(self.folder, environ={}).settings.cameras.cameras

    async def begin(
        self, cameras: tuple[CameraSettings, ...], kafka: KafkaSettings | None = None, only: str | None = None
    ) -> None:
        follow = Follow(lambda: load_with_places(self.folder, environ={}), only=only)
        self.following = Following(follow, kafka, self.fleet)
        await self.following.begin(cameras)

    async def close(self) -> None:
        if self.following is not None:
            await self.following.stop_changing()
            await self.following.leave()
        await super().close()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.close()


def entry(house: House, camera_id: str, more: str = "") -> str:
    return f'{{id: {camera_id}, source: "{house.film}", fps: 10{more}}}'


async def test_a_worker_begins_with_what_is_enabled_and_follows_the_file(house: House):
    await house.begin(house.write(entry(house, "north"), entry(house, "attic", ", enabled: false")))
    await house.sees("north")

    house.write(entry(house, "north"), entry(house, "attic"))

    await house.sees("attic")


async def test_one_camera_alone_is_watched_though_it_is_not_enabled(house: House):
    cameras = house.write(entry(house, "north"), entry(house, "attic", ", enabled: false"))

    await house.begin(cameras, NO_KAFKA, only="attic")

    assert house.fleet.camera_ids == ("attic",)


async def test_without_kafka_a_worker_begins_with_what_is_configured_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "COMMANDS_WITHIN_S", 0.2)

    with capture_logs() as logs:
        await house.begin(house.write(entry(house, "north")), NO_KAFKA)

    assert [line for line in logs if line["event"].startswith("camera commands are not known yet")]
    await house.sees("north")


async def test_a_source_that_is_none_is_an_error_at_the_start(house: House):
    with pytest.raises(ConfigError):
        await house.begin(house.write("{id: north, source: no/such/film.avi}"))


async def test_a_worker_without_any_camera_waits_for_one(house: House):
    with capture_logs() as logs:
        await house.begin(house.write(entry(house, "attic", ", enabled: false")))
        assert "there is no camera yet" in logs[0]["event"]

    house.write(entry(house, "attic"))

    await house.sees("attic")
