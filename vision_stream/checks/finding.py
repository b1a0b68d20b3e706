"""What a check returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from vision_stream.settings import Settings

WITHIN_S = 2.0  # one check
Level = Literal["ok", "note", "wrong", "unused"]


@dataclass(frozen=True)
class Finding:
    """What a check saw. A note is no reason not to start; ``exit_code`` is what a wrong one makes of ``doctor``'s."""

    name: str
    level: Level
    text: str
    remedy: str = ""
    exit_code: int = 0


Check = Callable[[Settings], Awaitable[Finding]]
