"""A device asked over HTTP: ipycam's responder, and a simulator where that one does not do it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from aiohttp import web

from tests.onvif_devices import HOST, PASSWORD, USER, Simulator, a_camera
from tests.silent_names import no_name_server
from workers.onvif.discover import Camera, discover
from workers.onvif.soap import Account

ACCOUNT = Account(USER, PASSWORD)


async def ask(at: str, account: Account | None = ACCOUNT, *, ask_s: float = 10.0, elsewhere: bool = False) -> Camera:
    (camera,) = await discover((), [at], account=account, listen_s=1, ask_s=ask_s, elsewhere=elsewhere)
    return camera


async def test_a_camera_by_other_people_says_its_model_profiles_and_streams():
    with a_camera(username=USER, password=PASSWORD) as at:
        camera = await ask(at)
    assert camera.device is not None, camera.why
    assert (camera.device.maker, camera.device.model) == ("PythonCam", "VirtualCam-1")
    told = [(each.name, each.width, each.height, each.fps, each.codec, each.stream) for each in camera.device.profiles]
    assert told == [
        ("MainStream", 1920, 1080, 30.0, "h264", f"rtsp://{HOST}:8554/video_main"),
        ("SubStream", 640, 360, 30.0, "h264", f"rtsp://{HOST}:8554/video_sub"),
    ]


@pytest.mark.parametrize(
    ("account", "why"),
    [
        (Account(USER, "wrong"), "401: user or password is wrong"),
        (None, "401: it wants a user and a password (--user)"),
    ],
    ids=["wrong", "none"],
)
async def test_a_camera_that_wants_another_password_says_so(account: Account | None, why: str):
    with a_camera(username=USER, password=PASSWORD) as at:
        assert (await ask(at, account)).why == why
    async with Simulator(account=(USER, PASSWORD)).running() as at:
        assert (await ask(at, account)).why == why


async def test_a_camera_whose_name_nobody_knows_says_so():
    assert (await ask("gate.invalid")).why == "its name is not known"


async def test_names_that_no_server_answers_are_waited_for_side_by_side_and_hold_up_no_end():
    names = [f"gate-{number}.example" for number in range(8)]
    with no_name_server():
        async with asyncio.timeout(5):
            found = await discover((), names, account=None, listen_s=1, ask_s=1)
            await asyncio.get_running_loop().shutdown_default_executor()  # as the end of a loop does

    assert {camera.why for camera in found} == {"no name server answered within 1 s"}
    assert [camera.host for camera in found] == names


async def test_the_newer_media_service_is_asked_where_there_is_one():
    async with Simulator(account=(USER, PASSWORD)).running() as at:
        camera = await ask(at)
    assert camera.device is not None, camera.why
    (profile,) = camera.device.profiles
    assert (profile.codec, profile.width, profile.fps) == ("h265", 3840, 25.0)
    assert profile.stream == f"rtsp://{HOST}:554/main"


@pytest.mark.parametrize("ahead", [timedelta(days=-7000), timedelta(hours=3)], ids=["2007", "other-zone"])
async def test_a_camera_whose_clock_is_wrong_is_proven_the_password_at_its_own_time(ahead: timedelta):
    async with Simulator(account=(USER, PASSWORD), clock_ahead=ahead).running() as at:
        assert (await ask(at)).device is not None


@pytest.mark.parametrize("year", [1, 9999])
async def test_a_camera_whose_clock_is_absurd_is_asked_at_our_time(year: int):
    simulator = Simulator(account=(USER, PASSWORD), clock=datetime(year, 12, 31, 23, 59, 59))
    async with simulator.running() as at:
        camera = await ask(at)
    assert camera.device is not None, camera.why


async def test_the_password_is_sent_to_nobody_and_each_proof_is_a_new_one():
    simulator = Simulator(account=(USER, PASSWORD))
    async with simulator.running() as at:
        await ask(at)
    assert PASSWORD not in "".join(simulator.asked)
    nonces = [message.split("Nonce")[1] for message in simulator.asked if "Nonce" in message]
    assert len(set(nonces)) == len(nonces) > 3


async def test_a_stream_of_another_host_is_told_as_that_and_given_where_it_is_allowed():
    simulator = Simulator(stream="rtsp://10.1.2.3/main")
    async with simulator.running() as at:
        refused, allowed = await ask(at), await ask(at, elsewhere=True)
    assert refused.device is not None
    assert allowed.device is not None
    assert refused.device.profiles[0].stream is None
    assert "10.1.2.3" in refused.device.profiles[0].why
    assert allowed.device.profiles[0].stream == "rtsp://10.1.2.3/main"


async def test_a_media_service_that_a_device_names_elsewhere_is_asked_on_the_device_itself():
    async with Simulator(media="http://192.0.2.77/onvif/media2").running() as at:
        assert (await ask(at)).device is not None


async def test_a_redirect_is_not_followed():
    followed = Simulator()
    async with (
        followed.running() as target,
        Simulator(moved_to=f"http://{target}/onvif/device_service").running() as at,
    ):
        assert (await ask(at)).why == "it answers with HTTP 307"
    assert followed.asked == []


BOMB = "<!DOCTYPE e [" + '<!ENTITY a "aaaaaaaaaa">' + '<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">' + "]>"


@pytest.mark.parametrize(
    ("simulator", "why"),
    [
        (Simulator(instead=b"x" * 2_000_000), "its answer is too large"),
        (Simulator(instead=b"<html>hello</html>"), "its answer is no SOAP message"),
        (Simulator(instead=b"\x00\xff"), "its answer is no XML"),
        (Simulator(instead=b""), "its answer is no XML"),
        (Simulator(doctype=BOMB), "its answer is no XML"),
        (Simulator(doctype='<!DOCTYPE e SYSTEM "file:///etc/passwd">'), "its answer is no XML"),
    ],
    ids=["large", "html", "binary", "empty", "bomb", "external"],
)
async def test_hostile_answers_are_a_cause_and_no_crash(simulator: Simulator, why: str):
    async with simulator.running() as at:
        assert why in (await ask(at)).why


async def test_a_device_that_says_nothing_costs_its_time_and_no_more():
    class Mute(Simulator):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            import asyncio

            await asyncio.sleep(30)
            raise AssertionError("nobody waits so long")

    async with Mute().running() as at:
        assert (await ask(at, ask_s=0.3)).why == "no answer within 0.3 s"


async def test_what_is_not_there_is_said():
    assert (await ask(f"{HOST}:9")).why.startswith("no connection: ")
    assert (await ask("http://user:secret@10.0.0.1/")).why == "that is no address of a device"


async def test_a_name_that_steers_a_terminal_is_cleaned():
    async with Simulator(name="Main &#x202E;x", model="S\u202e-1").running() as at:
        camera = await ask(at)
    assert camera.device is not None, camera.why
    assert camera.device.profiles[0].name == "Main x"
    assert "\u202e" not in camera.device.model
