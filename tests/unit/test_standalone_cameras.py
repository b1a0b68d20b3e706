"""Mode 1 begins with what is configured, and then follows what its API has said before."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.films import two_cars_driving, write_film
from tests.unit.test_capture_fleet import Yard
from tests.waiting import eventually
from vision_stream.messages import CameraCommand
from workers.capture.status import tell_refused
from workers.gateway.hub import Hub
from workers.gateway.roster import Roster
from workers.standalone.cameras import Cameras
from workers.standalone.kept_commands import KeptCommands


async def test_a_started_camera_whose_film_is_gone_does_not_keep_the_process_from_starting(tmp_path: Path):
    yard = Yard(str(write_film(tmp_path / "film.avi", two_cars_driving())))
    kept = KeptCommands(tmp_path / "commands.json")
    await kept.put(CameraCommand(camera_id="old", action="start", at=1.0))
    configured = (yard.camera("north"), yard.camera("old", "no/such/film.avi", enabled=False))
    cameras = Cameras(configured, Roster(configured, Hub()), kept)

    watching = asyncio.ensure_future(cameras.watch(yard.hire, lambda camera, why: tell_refused(camera.id, yard, why)))

    await yard.sees("north")
    await eventually(lambda: [said.state for said in yard.statuses if said.camera_id == "old"] == ["disabled"])
    assert not watching.done()
    watching.cancel()
    await asyncio.wait([watching])
    await yard.close()
