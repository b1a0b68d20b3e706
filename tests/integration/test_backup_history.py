from __future__ import annotations

import pytest
import redis as redis_client

from vision_stream.errors import DependencyError
from vision_stream.messages import Alert, Box
from vision_stream.settings import Settings
from vision_stream.stores.open import open_stores
from vision_stream.support import backup


def an_alert(camera: str, number: int) -> Alert:
    return Alert(
        alert_id=f"{camera}-{number}", camera_id=camera, state="opened", risk_level="high", opened_at=number,
        updated_at=number, task_id="t/0", box=Box(0, 0, 1, 1),
    )  # fmt: skip


async def test_alerts_come_back_in_their_order_and_twice_makes_no_more_of_them(redis_url: str):
    settings = Settings.model_validate({"enable_redis": True, "redis": {"url": redis_url}})
    stores = open_stores(settings)
    try:
        for camera, number in (("a", 1), ("a", 2), ("b", 3)):
            await stores.cache.record_alert(an_alert(camera, number))
        kept = await backup.history(settings)
        with redis_client.Redis.from_url(redis_url) as client:
            client.flushall()

        assert await backup.restore_history(settings, kept) == 3
        assert await backup.restore_history(settings, kept) == 3

        assert [alert.alert_id for alert in await stores.cache.alerts("a")] == ["a-2", "a-1"]
        assert [alert.alert_id for alert in await stores.cache.alerts("b")] == ["b-3"]
    finally:
        await stores.close()


async def test_a_redis_that_is_away_is_no_empty_history():
    settings = Settings.model_validate({"enable_redis": True, "redis": {"url": "redis://:canary-pass@127.0.0.1:9/0"}})
    with pytest.raises(DependencyError, match="Failed to connect to Redis") as failed:
        await backup.history(settings)
    assert "canary" not in str(failed.value)
