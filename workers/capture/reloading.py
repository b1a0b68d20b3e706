"""``config/cameras.yaml`` while the worker runs: a changed file is taken over, an invalid one changes nothing.

What is watched is the file's directory: editors replace a file, and Kubernetes the link that its directory is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import structlog

from vision_stream.config import Loaded
from vision_stream.errors import ConfigError
from vision_stream.settings import CameraSettings

DEBOUNCE_MS = 200  # quiet after a change. Shorter: a file half written is read, and its error said

_log = structlog.get_logger(__name__)


async def changed_cameras(configured: Callable[[], Loaded]) -> AsyncGenerator[tuple[CameraSettings, ...], None]:
    """All cameras of the configuration, at first and each time that they have changed.

    Ends at once where there is no directory of files.

    ``configured`` reads the settings, and raises ConfigError where a file is invalid.
    """
    from watchfiles import awatch  # its thread and its Rust, for those who have a directory

    known = await _read(configured)
    if known is None or known.config_dir is None:
        return
    cameras = known.settings.cameras.cameras
    yield cameras  # the file may have changed while the model was loading
    async for _ in awatch(known.config_dir, debounce=DEBOUNCE_MS, step=50, recursive=False):
        new = await _read(configured)
        if new is not None and new.settings.cameras.cameras != cameras:
            cameras = new.settings.cameras.cameras
            yield cameras


async def _read(configured: Callable[[], Loaded]) -> Loaded | None:
    try:
        return await asyncio.to_thread(configured)
    except ConfigError as error:
        _log.error("changed configuration is invalid; the cameras stay as they were", why=str(error))
        return None
