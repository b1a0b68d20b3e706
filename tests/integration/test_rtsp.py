"""Cameras of a real RTSP server: over TCP and UDP, with a password, slow ones, and ones with rare key frames."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.films import ColourDetector
from tests.rtsp_cameras import RtspServer, udp_firewall
from workers.capture.sources import Frame, Link, open_source

PASSWORD = "hunter22"

pytestmark = [pytest.mark.rtsp, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[dict[str, RtspServer]]:
    kinds = ("h264", "jpeg", "h264-slow", "h264-rare-keys")
    viewers = {"viewer": PASSWORD}
    made = {
        "open": RtspServer({kind: kind for kind in kinds} | {f"{kind}-udp": kind for kind in ("h264", "jpeg")}),
        "basic": RtspServer({"h264": "h264"}, users=viewers),
        "digest": RtspServer({"h264": "h264"}, users=viewers, digest=True),
    }
    async with AsyncExitStack() as stack:
        await asyncio.gather(*map(stack.enter_async_context, made.values()))
        yield made


def some_frames(source: str, link: Link, count: int = 3) -> list[Frame]:
    return list(itertools.islice(open_source(source, fps=10, link=link).frames(threading.Event()), count))


@pytest.mark.parametrize("kind", ["h264", "jpeg"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_pictures_come_over_tcp_and_udp(servers: dict[str, RtspServer], kind: str, transport: Any):
    source = servers["open"].url(kind if transport == "tcp" else f"{kind}-udp")
    frames = await asyncio.to_thread(some_frames, source, Link(transport))
    assert [frame.image.shape for frame in frames] == [(240, 320, 3)] * 3
    assert [found.label for found in ColourDetector().detect(frames[-1].image)] == ["car"]  # the ball is red


@pytest.mark.parametrize("scheme", ["basic", "digest"])
async def test_a_camera_with_a_password_is_seen_with_it(servers: dict[str, RtspServer], scheme: str):
    source = servers[scheme].url("h264", login=f"viewer:{PASSWORD}@")
    assert len(await asyncio.to_thread(some_frames, source, Link())) == 3


async def test_tcp_goes_through_a_firewall_that_loses_udp(servers: dict[str, RtspServer]):
    async with udp_firewall(servers["open"]) as port:
        source = servers["open"].url("h264", port=port)
        assert len(await asyncio.to_thread(some_frames, source, Link())) == 3


@pytest.mark.slow
async def test_cameras_of_a_frame_a_second_or_with_key_frames_far_apart_are_seen(servers: dict[str, RtspServer]):
    """FFmpeg looks at 5 s of the one before it calls it open; the other sends over 10 s before any can be decoded."""
    slow, rare = servers["open"].url("h264-slow"), servers["open"].url("h264-rare-keys")
    await asyncio.to_thread(some_frames, rare, Link(), 1)  # has begun by now, so that the next comes between two keys
    frames = await asyncio.gather(*(asyncio.to_thread(some_frames, source, Link(), 2) for source in (slow, rare)))
    assert [len(each) for each in frames] == [2, 2]
