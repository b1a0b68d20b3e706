"""A camera that the API named, on a real RTSP server: seen through its relay, or said why not."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from tests.rtsp_cameras import RtspServer
from vision_stream.api_networks import networks
from workers.capture.sources.base import SourceError
from workers.capture.sources.guarded import Guarded

pytestmark = [pytest.mark.rtsp, pytest.mark.timeout(120)]

HERE = networks(["127.0.0.0/8"])


def first_shapes(url: str) -> list[tuple[int, ...]]:
    source = Guarded(f"guarded:{url}", fps=5, networks=HERE, never=())
    return [frame.image.shape for frame in itertools.islice(source.frames(threading.Event()), 2)]


async def test_it_is_seen_or_said_why_not():
    async with (
        RtspServer({"yard": "h264", "still": "jpeg", "radio": "audio"}) as server,
        RtspServer({"yard": "h264"}, users={"viewer": "hunter22"}) as closed,
    ):
        assert await asyncio.to_thread(first_shapes, server.url("yard")) == [(240, 320, 3)] * 2
        assert await asyncio.to_thread(first_shapes, server.url("still")) == [(240, 320, 3)] * 2
        for url, said in (
            (server.url("radio"), "cannot read what it sends"),
            (server.url("nowhere"), "it answers with 404"),
            (closed.url("yard"), "401: it wants a user and a password"),
            (server.url("yard", port=9), "connection refused"),
        ):
            with pytest.raises(SourceError, match=said):
                await asyncio.to_thread(first_shapes, url)
