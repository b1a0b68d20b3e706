"""What processes say of themselves at ``/metrics``, looked at every few seconds and remembered for a while."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from vision_stream.audit.facts import Look

EVERY_S = 5.0
KEPT_S = 120.0
TIMEOUT = aiohttp.ClientTimeout(total=4.0)
BEAT, DONE, BEHIND = "vision_stream_loop_beat_timestamp_seconds", "vision_stream_events_done", "kafka_consumer_lag"


class Asking:
    """Of the processes at ``urls``; each is called by its host and port."""

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = urls
        self._looks: dict[str, deque[Look]] = {_name(url): deque() for url in urls}

    def looks(self) -> dict[str, tuple[Look, ...]]:
        return {name: tuple(looks) for name, looks in self._looks.items()}

    async def watch(self) -> None:
        """Look until cancelled."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            while True:
                await asyncio.gather(*(self._look(http, url) for url in self._urls))
                await asyncio.sleep(EVERY_S)

    async def _look(self, http: aiohttp.ClientSession, url: str) -> None:
        looks, now = self._looks[_name(url)], time.time()
        try:
            async with http.get(f"{url.rstrip('/')}/metrics", raise_for_status=True) as answer:
                looks.append(look_of(await answer.text(), now))
        except (aiohttp.ClientError, TimeoutError):
            looks.clear()  # it does not live, or not as the same process
        while looks and looks[0].at < now - KEPT_S:
            looks.popleft()


def look_of(page: str, at: float) -> Look:
    """Read Prometheus's text format."""
    beats: dict[str, float] = {}
    done = behind = 0.0
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if family.name == BEAT:
                beats[sample.labels["loop"]] = sample.value
            elif family.name == DONE and sample.name.endswith("_total"):
                done += sample.value
            elif family.name == BEHIND:
                behind += sample.value
    return Look(at=at, beats=beats, done=done, behind=behind)


def _name(url: str) -> str:
    """Without a user and password that may stand in it."""
    parsed = URL(url)
    return f"{parsed.host}:{parsed.port}"
