"""What the gate remembers of each camera. A value is replaced, never changed."""

from __future__ import annotations

from tables.rows import Rows
from vision_stream.app import app
from vision_stream.gating import CameraGate

_rows = Rows(app.Table("camera_state", key_type=bytes, value_type=bytes), CameraGate)

read = _rows.read
write = _rows.write
