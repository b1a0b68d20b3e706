"""SIGHUP: the configuration is read again; what can change while a process runs is taken over, the rest is named.

An invalid configuration changes nothing and is said. API keys and cameras need no signal: their files are followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from vision_stream.config import load
from vision_stream.config.layers import get
from vision_stream.config.problems import Path, dotted
from vision_stream.config.schema import leaves
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings

FOLLOWED = frozenset({"llm", "cameras"})

_log = structlog.get_logger(__name__)


def set_log_level(level: str) -> None:
    logging.getLogger().setLevel(level)


LIVE: Mapping[Path, Callable[[Any], None]] = {("log_level",): set_log_level}


def changed(old: Settings, new: Settings) -> list[Path]:
    """The fields that differ, in the order of the settings; not those that are followed without a signal."""
    return [path for path in leaves() if path[0] not in FOLLOWED and get(old, path) != get(new, path)]


def take_over(old: Settings, new: Settings) -> None:
    """Apply what is live, field by field, and say of each other field that it needs a restart. Says no value: it may
    be a secret."""
    fields = changed(old, new)
    for path in fields:
        if path in LIVE:
            LIVE[path](get(new, path))
    _log.info(
        "configuration read again",
        taken_over=[dotted(path) for path in fields if path in LIVE],
        after_a_restart=[dotted(path) for path in fields if path not in LIVE],
    )


def outlive_sighup() -> None:
    """Until ``follow_sighup`` listens, and after it: a SIGHUP that comes while a process starts or ends is ignored."""
    with contextlib.suppress(AttributeError, ValueError):  # Windows, or no main thread
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def follow_sighup(settings: Settings, reload: Callable[[], Settings] = load) -> None:
    """Take the configuration over at each SIGHUP until cancelled; nothing where there is none (Windows)."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    try:
        before = signal.getsignal(signal.SIGHUP)
        loop.add_signal_handler(signal.SIGHUP, told.set)
    except (AttributeError, NotImplementedError, RuntimeError):  # Windows, or no main thread
        return
    try:
        while True:
            await told.wait()
            told.clear()
            try:
                new = await asyncio.to_thread(reload)
            except ConfigError as error:
                _log.error("changed configuration is invalid; all stays as it was", why=str(error))
                continue
            take_over(settings, new)
            settings = new
    finally:
        with contextlib.suppress(RuntimeError):
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, before)
