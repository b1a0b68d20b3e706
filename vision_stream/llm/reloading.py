"""``config/api_keys.yaml`` while the program runs: a changed file is taken over, an invalid one changes nothing.

What is watched is the file's directory: editors replace a file, and Kubernetes the link that its directory is.
A file that ``api_key_file`` names is read again with the next change in that directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from vision_stream.background import Background
from vision_stream.config import Loaded
from vision_stream.errors import ConfigError
from vision_stream.settings import LLMSettings

DEBOUNCE_MS = 200  # quiet after a change. Shorter: a file half written is read, and its error said.

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def following(configured: Callable[[], Loaded], reload: Callable[[LLMSettings], None]) -> AsyncIterator[None]:
    """Call ``reload`` inside the block whenever the LLM's settings have changed.

    ``configured`` reads them all, and raises ConfigError where a file is invalid.
    """
    background = Background()
    background.spawn(_follow(configured, reload), name="API keys are followed")
    try:
        yield
    finally:
        await background.close()


async def _follow(configured: Callable[[], Loaded], reload: Callable[[LLMSettings], None]) -> None:
    from watchfiles import awatch  # its thread and its Rust, for those who have a directory

    known = await _read(configured)
    if known is None or known.config_dir is None:
        return
    llm = known.settings.llm
    async for _ in awatch(known.config_dir, debounce=DEBOUNCE_MS, step=50, recursive=False):
        new = await _read(configured)
        if new is None or new.settings.llm == llm:
            continue
        llm = new.settings.llm
        _log.info("API keys read again", keys=[key.id for key in llm.keys if key.enabled])
        reload(llm)


async def _read(configured: Callable[[], Loaded]) -> Loaded | None:
    try:
        return await asyncio.to_thread(configured)
    except ConfigError as error:
        _log.error("changed configuration is invalid; the API keys stay as they were", why=str(error))
        return None
