"""The LLM simulator's log of calls, from its file of JSON lines or over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import msgspec

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.simulators.llm.calls import Call

TIMEOUT_S = 20.0


class _Answer(msgspec.Struct):
    calls: list[Call]


async def read_calls(place: str, *, since: float = 0.0) -> tuple[Call, ...]:
    """The calls from ``since`` (epoch seconds) on in ``place``: a file, or the simulator's URL.

    Raises:
        ConfigError: it is no call log.
        DependencyError: the simulator does not answer.
    """
    try:
        if place.startswith(("http://", "https://")):
            return await _fetch(place, since)
        return await asyncio.to_thread(_from_file, Path(place), since)
    except (msgspec.DecodeError, OSError) as error:
        remedy = "give the file of `vision-stream simulate llm --call-log`, or the simulator's URL"
        raise ConfigError(f"--llm-calls {place}: {error}", remedy=remedy) from error


def _from_file(path: Path, since: float) -> tuple[Call, ...]:
    with path.open("rb") as log:  # line by line: it may be that of weeks
        calls = (msgspec.json.decode(line, type=Call) for line in log if line.endswith(b"}\n"))
        return tuple(call for call in calls if call.at >= since)


async def _fetch(url: str, since: float) -> tuple[Call, ...]:
    url = url.rstrip("/").removesuffix("/v1")
    url = url if url.endswith("/calls") else f"{url}/calls"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
            http.get(url, params={"since": str(since)}, raise_for_status=True) as answer,
        ):
            return tuple(msgspec.json.decode(await answer.read(), type=_Answer).calls)
    except (aiohttp.ClientError, TimeoutError) as error:
        remedy = f"see whether {url} is right"
        raise DependencyError(f"the LLM simulator does not answer: {error!r}", remedy=remedy) from error
