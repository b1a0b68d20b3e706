"""What a join brings: counted, and kept for those who ask later. The same over Kafka and in one process."""

from __future__ import annotations

from vision_stream import metrics
from vision_stream.messages import Alert, CameraMessage, encode
from vision_stream.stores import AssessmentCache


async def remember(cache: AssessmentCache, message: CameraMessage, *, latest_ttl_s: float) -> None:
    """For the gateway's REST and for others on Redis; a Redis that is away costs nothing but this."""
    payload = encode(message)
    if isinstance(message, Alert):
        await cache.record_alert(message)
    else:
        await cache.put_latest(message.camera_id, payload, ttl_s=latest_ttl_s)
    await cache.announce(message.camera_id, payload)


def count(message: CameraMessage, now: float) -> None:
    """``now``: epoch seconds, when it was joined."""
    if isinstance(message, Alert):
        metrics.alerts.labels(state=message.state).inc()
        return
    metrics.assessments.labels(completeness="complete" if message.complete else "partial").inc()
    metrics.end_to_end.observe(max(now - message.times.captured_at, 0.0))
