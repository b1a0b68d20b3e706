"""The LLM simulator's log of calls, from its file of JSON lines or over HTTP."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import msgspec

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.simulators.llm.calls import Call

TIMEOUT_S = 20.0


class _Answer(msgspec.Struct):
    calls: list[Call]


async def read_calls(place: str) -> tuple[Call, ...]:
    """All calls in ``place``: a file, or the simulator's URL.

    Raises:
        ConfigError: it is no call log.
        DependencyError: the simulator does not answer.
    """
    try:
        if place.startswith(("http://", "https://")):
            return await _fetch(place)
        lines = Path(place).read_bytes().splitlines()  # noqa: ASYNC240  # nothing else runs on this loop
        return tuple(msgspec.json.decode(line, type=Call) for line in lines if line.endswith(b"}"))
    except (msgspec.DecodeError, OSError) as error:
        remedy = "give the file of `vision-stream simulate llm --call-log`, or the simulator's URL"
        raise ConfigError(f"--llm-calls {place}: {error}", remedy=remedy) from error


async def _fetch(url: str) -> tuple[Call, ...]:
    url = url.rstrip("/").removesuffix("/v1")
    url = url if url.endswith("/calls") else f"{url}/calls"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as http,
            http.get(url, raise_for_status=True) as answer,
        ):
            return tuple(msgspec.json.decode(await answer.read(), type=_Answer).calls)
    except (aiohttp.ClientError, TimeoutError) as error:
        remedy = f"see whether {url} is right"
        raise DependencyError(f"the LLM simulator does not answer: {error!r}", remedy=remedy) from error
