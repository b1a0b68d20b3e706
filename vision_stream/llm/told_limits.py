"""What an endpoint says of a key's limit in the headers of an answer. Pure.

Some count by the minute, some by the day under the same name. Which one it is follows from how long the limit takes to
be whole again: what is used of it comes back at its rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from vision_stream.llm.retry_after import duration, number

LIMIT = "x-ratelimit-limit-requests"
NEAR = 0.25  # of a window: resets are rounded, and a call's way takes time


class ToldLimit(Struct, frozen=True):
    calls: int
    per: Literal["second", "minute"]


def told_limit(headers: Mapping[str, str]) -> ToldLimit | None:
    """None where nothing is said, nothing is used yet, or another window than a second or a minute is meant.

    ``headers`` must be case-insensitive.

    >>> told_limit({LIMIT: "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s"})
    ToldLimit(calls=60, per='minute')
    """
    limit, left = number(headers.get(LIMIT)), number(headers.get("x-ratelimit-remaining-requests"))
    reset_s = duration(headers.get("x-ratelimit-reset-requests"))
    if limit is None or left is None or not reset_s or left >= limit:
        return None
    window_s = limit * reset_s / (limit - left)
    if abs(window_s - 60.0) <= NEAR * 60.0:
        return ToldLimit(int(limit), "minute")
    return ToldLimit(int(limit), "second") if abs(window_s - 1.0) <= NEAR else None
