"""A camera's latest assessment, its last alerts, and the channel that announces them: memory or Redis.

Redis holds ``camera:{id}:latest`` (a string with a time to live) and ``alerts:{id}`` (a list of JSON, newest opened
first, one row an alert), and publishes on ``camera:{id}``. A row is replaced where it stands, and never by an older
state of the same alert, so that a message that Kafka delivers again changes nothing.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from vision_stream.errors import MessageError
from vision_stream.messages import Alert, decode, encode
from vision_stream.stores.expiring import ExpiringBytes

if TYPE_CHECKING:
    from vision_stream.stores.redis_link import RedisLink

ALERTS_KEPT = 100  # of one camera
MAX_CAMERAS = 5000
MAX_BYTES = 128 * 2**20  # an assessment is 2 to 20 KB

# One step on the server, so that two writers never make two rows of one alert. Returns 1.
RECORD_ALERT = """
local rows = redis.call('LRANGE', KEYS[1], 0, -1)
for i, row in ipairs(rows) do
  local ok, kept = pcall(cjson.decode, row)
  if ok and type(kept) == 'table' and kept.alert_id == ARGV[1] then
    if tonumber(kept.updated_at) <= tonumber(ARGV[2]) then redis.call('LSET', KEYS[1], i - 1, ARGV[3]) end
    return 1
  end
end
redis.call('LPUSH', KEYS[1], ARGV[3])
redis.call('LTRIM', KEYS[1], 0, tonumber(ARGV[4]) - 1)
return 1
"""


class MemoryCache:
    """Seen by this process alone; ``announce`` reaches nobody, because nobody else could listen."""

    def __init__(
        self,
        *,
        alerts_kept: int = ALERTS_KEPT,
        max_cameras: int = MAX_CAMERAS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._latest = ExpiringBytes(max_items=max_cameras, max_bytes=MAX_BYTES, clock=clock)
        self._alerts: OrderedDict[str, list[Alert]] = OrderedDict()  # the camera written last at the end
        self._alerts_kept = alerts_kept
        self._max_cameras = max_cameras

    async def put_latest(self, camera_id: str, payload: bytes, *, ttl_s: float) -> bool:
        return self._latest.put(camera_id, payload, ttl_s=ttl_s)

    async def latest(self, camera_id: str) -> bytes | None:
        return self._latest.get(camera_id)

    async def record_alert(self, alert: Alert) -> bool:
        self._alerts[alert.camera_id] = recorded(self._alerts.get(alert.camera_id, []), alert, self._alerts_kept)
        self._alerts.move_to_end(alert.camera_id)
        while len(self._alerts) > self._max_cameras:
            self._alerts.popitem(last=False)
        return True

    async def alerts(self, camera_id: str, *, limit: int = ALERTS_KEPT) -> list[Alert]:
        return self._alerts.get(camera_id, [])[: max(limit, 0)]

    async def announce(self, camera_id: str, payload: bytes) -> bool:
        return False


def recorded(rows: list[Alert], alert: Alert, kept: int) -> list[Alert]:
    """``rows`` (newest opened first) with ``alert`` in its row, or in a new one on top; at most ``kept``."""
    for i, row in enumerate(rows):
        if row.alert_id == alert.alert_id:
            return [*rows[:i], alert, *rows[i + 1 :]] if row.updated_at <= alert.updated_at else rows
    return [alert, *rows][:kept]


class RedisCache:
    def __init__(self, link: RedisLink, *, alerts_kept: int = ALERTS_KEPT) -> None:
        self._link = link
        self._alerts_kept = alerts_kept

    async def put_latest(self, camera_id: str, payload: bytes, *, ttl_s: float) -> bool:
        key, ttl_ms = f"camera:{camera_id}:latest", math.ceil(ttl_s * 1000)
        if ttl_ms <= 0:
            return False
        return bool(await self._link.call("cache", lambda redis: redis.set(key, payload, px=ttl_ms)))

    async def latest(self, camera_id: str) -> bytes | None:
        return await self._link.read("cache", f"camera:{camera_id}:latest")

    async def record_alert(self, alert: Alert) -> bool:
        row = (alert.alert_id, repr(alert.updated_at), encode(alert), self._alerts_kept)
        return bool(
            await self._link.call(
                "cache",
                lambda redis: redis.execute_command("EVAL", RECORD_ALERT, 1, f"alerts:{alert.camera_id}", *row),
            )
        )

    async def alerts(self, camera_id: str, *, limit: int = ALERTS_KEPT) -> list[Alert]:
        if limit <= 0:
            return []
        key = f"alerts:{camera_id}"
        rows = await self._link.call("cache", lambda redis: redis.execute_command("LRANGE", key, 0, limit - 1))
        return [alert for row in rows or () if (alert := _readable(row)) is not None]

    async def announce(self, camera_id: str, payload: bytes) -> bool:
        """True if Redis took it, whether or not anybody listened."""
        heard = await self._link.call(
            "cache", lambda redis: redis.execute_command("PUBLISH", f"camera:{camera_id}", payload)
        )
        return heard is not None


def _readable(row: bytes | str) -> Alert | None:
    """The alert of a row; None for one that a newer version wrote and this one cannot read."""
    try:
        return decode(row.encode() if isinstance(row, str) else row, Alert)
    except MessageError:
        return None
