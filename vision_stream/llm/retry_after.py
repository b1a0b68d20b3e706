"""How long a provider says to wait, from the headers that say it. Pure: ``now`` is epoch seconds, passed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait, >= 0; None where no header says it readably.

    ``headers`` must be case-insensitive. In the order of trust: retry-after-ms, Retry-After as seconds or as an HTTP
    date, and the reset of whichever x-ratelimit limit is used up.

    >>> retry_after({"Retry-After": "1.5"}, now=0.0), retry_after({"x-ratelimit-reset-requests": "1m30s"}, now=0.0)
    (1.5, None)
    """
    milliseconds = number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("Retry-After")
    if said is not None:
        seconds = number(said)
        return seconds if seconds is not None else _until_date(said, now)
    resets = [duration(headers.get(f"x-ratelimit-reset-{what}")) for what in _used_up(headers)]
    return max((reset for reset in resets if reset is not None), default=None)


def _used_up(headers: Mapping[str, str]) -> list[str]:
    return [what for what in ("requests", "tokens") if number(headers.get(f"x-ratelimit-remaining-{what}")) == 0]


def number(text: str | None) -> float | None:
    """One that a header may mean: at least 0 and below a billion; else None."""
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None  # also neither nan nor inf


def _until_date(text: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def duration(text: str | None) -> float | None:
    """Seconds of ``1m30s``, ``20ms`` or plain seconds.

    >>> duration("1m30s"), duration("20ms"), duration("2"), duration("soon")
    (90.0, 0.02, 2.0, None)
    """
    if text is None or not _DURATION.fullmatch(text):
        return number(text)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
