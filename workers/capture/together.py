"""Several cameras in one process, each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from vision_stream.redaction import mask
from workers.capture.worker import CaptureWorker

_log = structlog.get_logger(__name__)


async def run_together(workers: Sequence[CaptureWorker]) -> None:
    """Run all until their sources end. One that breaks off is said at once, and does not end the others.

    Raises:
        VisionStreamError: the first of what broke off, when all have ended.
    """
    failures: list[Exception] = []

    async def run(worker: CaptureWorker) -> None:
        try:
            await worker.run()
        except Exception as error:  # a backend's own errors have no common base
            failures.append(error)
            if len(workers) > 1:  # of a single one the exception says it
                _log.error("camera ended", camera=worker.camera_id, error=mask(str(error)))

    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(run(worker))
    if failures:
        raise failures[0]
