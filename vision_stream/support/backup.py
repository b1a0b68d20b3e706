"""What to keep before a change: the configuration, secrets included, and the history of alerts."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from vision_stream.config import ENV_FILE, Loaded
from vision_stream.errors import ConfigError, DependencyError
from vision_stream.messages import Alert
from vision_stream.redaction import mask
from vision_stream.settings import Settings
from vision_stream.stores.open import open_stores

HISTORY = "history/alerts.json"
ALERTS_KEY = "alerts:"
ANSWER_WITHIN_S = 5.0


async def history(settings: Settings) -> bytes:
    """The alerts of each camera, newest first, as JSON: all the history that Redis keeps.

    Raises:
        DependencyError: Redis does not answer.
    """
    stores = open_stores(settings)
    try:
        cameras = [key.decode().removeprefix(ALERTS_KEY) async for key in _keys(settings)]
        rows = {camera: await stores.cache.alerts(camera, limit=settings.redis.alerts_kept) for camera in cameras}
    finally:
        await stores.close()
    return msgspec.json.encode(rows)


async def restore_history(settings: Settings, content: bytes) -> int:
    """Put the alerts back, beside those that are there; returns how many."""
    rows = msgspec.json.decode(content, type=dict[str, list[Alert]])
    stores = open_stores(settings)
    try:
        oldest_first = [alert for alerts in rows.values() for alert in reversed(alerts)]
        for alert in oldest_first:
            if not await stores.cache.record_alert(alert):
                raise DependencyError(
                    f"Redis did not take the alert {alert.alert_id}", remedy="see vision-stream doctor"
                )
    finally:
        await stores.close()
    return len(oldest_first)


async def _keys(settings: Settings) -> AsyncIterator[bytes]:
    try:
        async with Redis.from_url(settings.redis.url.get_secret_value(), socket_timeout=ANSWER_WITHIN_S) as client:
            async for key in client.scan_iter(f"{ALERTS_KEY}*"):
                yield key
    except (RedisError, OSError) as error:
        raise DependencyError(
            mask(f"Failed to connect to Redis: {error}"), remedy="start it, or back up with --no-history"
        ) from error


def files(loaded: Loaded) -> dict[str, bytes]:
    """The configuration's files as they are, by their names in the archive."""
    found = {}
    if loaded.config_dir is not None:
        paths = sorted(path for path in loaded.config_dir.rglob("*") if path.is_file())
        found = {f"config/{path.relative_to(loaded.config_dir)}": path.read_bytes() for path in paths}
    if ENV_FILE.is_file():
        found["env"] = ENV_FILE.read_bytes()
    return found


def write(content: Mapping[str, bytes], archive: Path) -> None:
    """Write a .tar.gz that only its owner may read, as API keys are in it.

    Raises:
        OSError: it is there already, or cannot be written.
    """
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
            tar.addfile(entry, io.BytesIO(data))


def read(archive: Path) -> dict[str, bytes]:
    """What ``write`` wrote.

    Raises:
        ConfigError: the file is no backup of ours.
        OSError: it cannot be read.
    """
    try:
        with tarfile.open(archive, mode="r:gz") as tar:
            found = {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}
    except tarfile.TarError as error:
        raise ConfigError(
            f"{archive} is no backup: {error}", remedy="give what `vision-stream backup` wrote"
        ) from error
    if any(PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts for name in found):
        raise ConfigError(f"{archive} would write outside of its directory", remedy="do not use it")
    return found
