"""The requests that wait for outcomes, those finished lately, and the alerts: one row a camera."""

from __future__ import annotations

from collections.abc import Iterator

from tables.rows import Rows
from vision_stream.app import app
from vision_stream.joining import CameraResults, overdue

_rows = Rows(app.Table("pending_assessments", key_type=bytes, value_type=bytes), CameraResults)

read = _rows.read
write = _rows.write


def late(now: float) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Cameras of all rows in this process, and the ids that are overdue at ``now`` (epoch seconds)."""
    for camera_id in _rows:
        ids = overdue(read(camera_id), now, app.settings.alerts)
        if ids:
            yield camera_id, ids
