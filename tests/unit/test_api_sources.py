"""Which sources the API may name, and which addresses they may lead to."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.hostile_sources import HOSTILE, LEAD_ELSEWHERE
from tests.waiting import eventually
from vision_stream.api_networks import networks, permitted, system_resolver
from vision_stream.api_sources import SourceRefused, checked_source, stream_target
from vision_stream.settings import CamerasSettings

ALLOWED = networks(CamerasSettings().api_networks)
EVERYWHERE = networks(["0.0.0.0/0", "::/0"])


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("rtsp://10.0.0.5/stream1", "rtsp://10.0.0.5/stream1"),
        ("RTSP://10.0.0.5:554", "rtsp://10.0.0.5/"),
        ("rtsps://camera-1.example.org:7441/a?b=c", "rtsps://camera-1.example.org:7441/a?b=c"),
        ("http://Camera.Local:80/video.mjpg", "http://camera.local/video.mjpg"),
        ("https://[FD00::5]:8443?stream=1", "https://[fd00::5]:8443/?stream=1"),
        ("sim:crossing?seed=3", "sim:crossing?seed=3"),
    ],
)
def test_what_means_the_same_is_written_the_same(written: str, understood: str):
    assert checked_source(written) == understood
    assert checked_source(understood) == understood


@pytest.mark.parametrize(("source", "code"), HOSTILE.items(), ids=range(len(HOSTILE)))
def test_a_hostile_source_is_refused_and_not_quoted(source: str, code: str):
    with pytest.raises(SourceRefused) as refused:
        checked_source(source.replace("{port}", "9").replace("{file}", "/tmp/secret"))

    assert refused.value.code == code
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize("source", LEAD_ELSEWHERE)
def test_an_address_that_no_camera_has_is_not_permitted_whatever_the_settings_allow(source: str):
    host = stream_target(source.format(port=9)).host

    assert permitted([host], EVERYWHERE) == []


@pytest.mark.parametrize("address", ["8.8.8.8", "100.64.0.1", "2606:4700::1111", "172.32.0.1", "192.169.0.1"])
def test_by_default_a_camera_is_in_a_private_network(address: str):
    assert permitted([address, "10.1.2.3", "172.31.255.1", "192.168.1.1", "fd12::1"], ALLOWED) == [
        "10.1.2.3",
        "172.31.255.1",
        "192.168.1.1",
        "fd12::1",
    ]


def test_of_a_name_with_several_addresses_only_those_are_permitted_where_cameras_may_be():
    assert permitted(["127.0.0.1", "10.0.0.5", "::1", "fe80::1%lo"], ALLOWED) == ["10.0.0.5"]


async def test_names_that_nobody_answers_hold_up_neither_other_work_nor_addresses(monkeypatch: pytest.MonkeyPatch):
    waiting, answered = threading.Event(), threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        waiting.set()
        answered.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    # More than the loop has threads of its own.
    asked = [asyncio.ensure_future(system_resolver(f"camera-{number}.example")) for number in range(64)]
    try:
        await eventually(waiting.is_set)
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "done") == "done"
            assert await system_resolver("10.0.0.5") == ["10.0.0.5"]
    finally:
        answered.set()
        await asyncio.gather(*asked)
