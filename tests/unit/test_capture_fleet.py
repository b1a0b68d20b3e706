"""The cameras of a running worker follow their configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.films import ColourDetector, two_cars_driving, write_film
from tests.waiting import eventually
from vision_stream.config import load_with_places
from vision_stream.errors import ConfigError
from vision_stream.messages import CAMERA_REMOVED, CameraStatus, Detection, StoredEvidence
from vision_stream.settings import CameraSettings, Settings
from vision_stream.stores.evidence import MemoryEvidence
from vision_stream.stores.frames import MemoryFrames
from workers.capture.fleet import Fleet
from workers.capture.inference import Inference
from workers.capture.reloading import changed_cameras
from workers.capture.status import tell_refused
from workers.capture.worker import CaptureWorker


class Yard:
    """A fleet on a film that never ends, and what it tells."""

    def __init__(self, film: str) -> None:
        self.film = film
        self.evidence, self.frames = MemoryEvidence(), MemoryFrames()
        self.detections: dict[str, list[Detection]] = {}
        self.statuses: list[CameraStatus] = []
        self.loop = True
        self.heard = asyncio.Event()  # cleared: a camera's last words are waited with
        self.heard.set()
        self._inference, self._detector = Inference(), ColourDetector()
        self.fleet = Fleet(self.hire, lambda camera, why: tell_refused(camera.id, self, why))

    async def detection(self, detection: Detection, /) -> None:
        self.detections.setdefault(detection.camera_id, []).append(detection)

    async def status(self, status: CameraStatus, /) -> None:
        if status.state == "disabled":
            await self.heard.wait()
        self.statuses.append(status)

    def hire(self, camera: CameraSettings) -> CaptureWorker:
        return CaptureWorker(
            camera,
            Settings(),
            detector=self._detector,
            inference=self._inference,
            sink=self,
            evidence=self.evidence,
            frames=self.frames,
            loop=self.loop,
            realtime=self.loop,
        )

    def camera(self, camera_id: str, source: str | None = None, **fields: object) -> CameraSettings:
        return CameraSettings.model_validate({"id": camera_id, "source": source or self.film, "fps": 10, **fields})

    def evidence_keys(self, camera_id: str) -> list[str]:
        groups = [group for seen in self.detections.get(camera_id, []) for group in seen.groups]
        return [group.evidence.key for group in groups if isinstance(group.evidence, StoredEvidence)]

    async def sees(self, *camera_ids: str, more_than: int = 0) -> None:
        await eventually(
            lambda: all(len(self.detections.get(each, [])) > more_than for each in camera_ids), within_s=20
        )

    async def close(self) -> None:
        await self.fleet.close()
        self._inference.close()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    yard = Yard(str(write_film(tmp_path / "film.avi", two_cars_driving())))
    yield yard
    await yard.close()


async def test_a_camera_that_is_added_starts_beside_those_that_run(yard: Yard):
    yard.fleet.start([yard.camera("north")])
    await yard.sees("north")
    session = yard.detections["north"][0].session

    await yard.fleet.apply([yard.camera("north"), yard.camera("south")])

    await yard.sees("south")
    await yard.sees("north", more_than=len(yard.detections["north"]))
    assert {seen.session for seen in yard.detections["north"]} == {session}


async def test_a_camera_that_is_removed_stops_and_leaves_no_picture_behind(yard: Yard):
    yard.fleet.start([yard.camera("north"), yard.camera("south")])
    await eventually(lambda: yard.evidence_keys("north") and yard.evidence_keys("south"), within_s=20)

    await yard.fleet.apply([yard.camera("south")])

    seen = len(yard.detections["north"])
    assert [await yard.evidence.get(key) for key in yard.evidence_keys("north")] == [None] * len(
        yard.evidence_keys("north")
    )
    assert await yard.frames.latest("north") is None
    await yard.sees("south", more_than=len(yard.detections["south"]) + 2)
    assert len(yard.detections["north"]) == seen
    assert await yard.evidence.get(yard.evidence_keys("south")[-1]) is not None
    last = [status for status in yard.statuses if status.camera_id == "north"][-1]
    assert (last.state, last.reason) == ("disabled", CAMERA_REMOVED)


async def test_a_camera_that_another_worker_watches_now_stops_without_a_word_and_keeps_its_pictures(yard: Yard):
    yard.fleet.start([yard.camera("north"), yard.camera("south")])
    await eventually(lambda: yard.evidence_keys("north") and yard.evidence_keys("south"), within_s=20)

    await yard.fleet.apply([yard.camera("south")], elsewhere={"north"})

    seen = len(yard.detections["north"])
    assert await yard.evidence.get(yard.evidence_keys("north")[-1]) is not None
    assert await yard.frames.latest("north") is not None
    await yard.sees("south", more_than=len(yard.detections["south"]) + 2)
    assert len(yard.detections["north"]) == seen
    assert [status.state for status in yard.statuses if status.camera_id == "north"] == ["online"]


async def test_a_camera_that_is_slow_to_stop_does_not_hold_up_the_others(yard: Yard):
    yard.fleet.start([yard.camera("north"), yard.camera("south")])
    await yard.sees("north", "south")
    yard.heard.clear()

    applying = asyncio.ensure_future(yard.fleet.apply([yard.camera("south"), yard.camera("east")]))

    await yard.sees("east")
    assert not applying.done()
    yard.heard.set()
    await applying


async def test_a_camera_that_is_changed_starts_again_and_the_others_do_not(yard: Yard):
    yard.fleet.start([yard.camera("north"), yard.camera("south")])
    await yard.sees("north", "south")
    before = {name: seen[0].session for name, seen in yard.detections.items()}

    await yard.fleet.apply([yard.camera("north", prompt_profile="crossing"), yard.camera("south")])

    await eventually(lambda: yard.detections["north"][-1].prompt_profile == "crossing", within_s=20)
    assert yard.detections["north"][-1].session != before["north"]
    assert yard.detections["south"][-1].session == before["south"]


async def test_a_source_that_is_none_leaves_the_camera_as_it_was_and_is_said(yard: Yard):
    yard.fleet.start([yard.camera("north")])
    await yard.sees("north")

    with capture_logs() as logs:
        await yard.fleet.apply([yard.camera("north", "no/such/film.avi"), yard.camera("south")])

    (said,) = [line for line in logs if line["log_level"] == "error"]
    assert said["camera"] == "north"
    assert "no/such/film.avi" in said["why"]
    await yard.sees("north", "south", more_than=len(yard.detections["north"]))


async def test_a_new_camera_whose_source_is_none_has_a_state_that_says_why(yard: Yard):
    await yard.fleet.apply([yard.camera("north", "no/such/film.avi")])

    (said,) = await eventually(lambda: yard.statuses)
    assert (said.camera_id, said.state) == ("north", "disabled")
    assert "no/such/film.avi" in said.reason


async def test_a_camera_that_cannot_be_watched_is_told_of_as_long_as_that_is_so():
    told: list[str] = []

    async def refused(camera: CameraSettings, why: str) -> None:
        told.append(f"{camera.id} begins")
        try:
            await asyncio.Event().wait()
        finally:
            told.append(f"{camera.id} ends")

    def hire(camera: CameraSettings) -> CaptureWorker:
        raise ConfigError("no such film")

    north, south = (CameraSettings.model_validate({"id": name, "source": "0"}) for name in ("north", "south"))
    fleet = Fleet(hire, refused)
    await fleet.apply([north, south])
    await eventually(lambda: len(told) == 2)
    await fleet.apply([south])  # as it was: it is not told of anew, which would make it news
    await eventually(lambda: told[2:] == ["north ends"])
    await fleet.close()
    assert told[2:] == ["north ends", "south ends"]


async def test_a_lone_camera_that_breaks_off_is_logged(yard: Yard, tmp_path: Path):
    (tmp_path / "broken.avi").write_bytes(b"no film")
    yard.loop = False

    with capture_logs() as logs:
        yard.fleet.start([yard.camera("north", str(tmp_path / "broken.avi"))])
        async with asyncio.timeout(20):
            await yard.fleet.until_all_ended()

    assert [line["camera"] for line in logs if line["event"] == "camera ended"] == ["north"]


async def test_a_fleet_whose_films_have_ended_has_ended(yard: Yard):
    yard.loop = False
    yard.fleet.start([yard.camera("north"), yard.camera("south")])
    async with asyncio.timeout(20):
        await yard.fleet.until_all_ended()
    assert yard.fleet.failures == []


async def test_a_fleet_that_is_emptied_waits_for_what_comes(yard: Yard):
    yard.fleet.start([yard.camera("north")])
    await yard.sees("north")
    waiting = asyncio.ensure_future(yard.fleet.until_all_ended())

    await yard.fleet.apply([])
    yard.loop = False
    await asyncio.sleep(0)
    assert not waiting.done()

    await yard.fleet.apply([yard.camera("east")])
    async with asyncio.timeout(20):
        await waiting
    assert yard.detections["east"]


# --- the file ----------------------------------------------------------------------------------------------------


async def test_the_file_is_followed_and_an_invalid_one_changes_nothing(tmp_path: Path):
    file = tmp_path / "cameras.yaml"

    def write(text: str) -> None:
        (tmp_path / "next").write_text(text)
        (tmp_path / "next").rename(file)  # as editors do

    write("cameras:\n  - {id: north, source: 0}\n")
    following = changed_cameras(lambda: load_with_places(tmp_path, environ={}))
    async with asyncio.timeout(30):
        assert [camera.id for camera in await anext(following)] == ["north"]
        second = asyncio.ensure_future(anext(following))

        with capture_logs() as logs:
            await eventually(lambda: write("cameras:\n  - {id: north, fps: 0}\n") or logs, within_s=20)
        assert not second.done()
        assert "cameras[0].fps" in logs[0]["why"]
        assert "cameras.yaml:2" in logs[0]["why"]

        write("cameras:\n  - {id: north, source: 0}\n  - {id: south, source: 1}\n")
        assert [camera.id for camera in await second] == ["north", "south"]
    await following.aclose()
