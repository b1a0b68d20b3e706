"""What a process says of itself: alive, ready, and its metrics."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.waiting import eventually
from vision_stream import metrics
from vision_stream.background import Background
from vision_stream.probes import WEDGED_S, Probes, listen


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def served(of: Probes) -> Iterator[str]:
    server = listen("127.0.0.1", 0, of)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def get(url: str) -> tuple[int, dict[str, str]]:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as refused:
        with refused:
            return refused.code, json.loads(refused.read())


async def test_a_loop_that_beats_is_alive_and_one_that_hangs_is_not():
    clock = Clock()
    of, background = Probes(clock=clock), Background()
    background.spawn(of.beat("worker"), name="beat")
    await eventually(lambda: of._beats)

    clock.now += WEDGED_S
    assert of.health() == {}
    clock.now += 1
    assert of.health() == {"worker": "no beat for 31 s"}

    await background.close()


async def test_a_loop_that_ended_in_order_is_not_missed():
    clock = Clock()
    of, background = Probes(clock=clock), Background()
    background.spawn(of.beat("worker"), name="beat")
    await eventually(lambda: of._beats)

    await background.close()
    clock.now += 10 * WEDGED_S

    assert of.health() == {}


async def test_healthz_says_from_outside_that_the_loop_hangs():
    clock = Clock()
    of, background = Probes(clock=clock), Background()
    with served(of) as url:
        background.spawn(of.beat("worker"), name="beat")
        await eventually(lambda: of._beats)
        assert await asyncio.to_thread(get, f"{url}/healthz") == (200, {"status": "ok", "pid": os.getpid()})

        clock.now += WEDGED_S + 1
        status, said = get(f"{url}/healthz")  # holds the loop, as a blocking call in it would

        assert status == 503
        assert said == {"status": "wrong", "worker": "no beat for 31 s", "pid": os.getpid()}
        await background.close()


def test_readyz_names_what_keeps_the_process_from_its_work():
    of, reasons = Probes(), ["the group rebalances", None]
    of.require("faust", lambda: reasons[0])
    with served(of) as url:
        assert get(f"{url}/readyz") == (503, {"status": "wrong", "faust": "the group rebalances", "pid": os.getpid()})
        reasons.pop(0)
        assert get(f"{url}/readyz") == (200, {"status": "ok", "pid": os.getpid()})


def test_metrics_stand_beside_them():
    with served(Probes()) as url, urlopen(f"{url}/metrics", timeout=5) as answer:
        assert b"# HELP vision_stream_redis_up" in answer.read()


@pytest.mark.parametrize("first_port", [0])
def test_port_0_serves_nothing(first_port: int):
    assert metrics.serve(first_port) == 0
