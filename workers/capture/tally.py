"""What a run found, for the person who started it."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from vision_stream.messages import CameraStatus, Detection
from workers.capture.sink import Sink

MOST_TRACKS = 100_000  # remembered of one camera; a run of weeks must not grow without end
TIMES = 10_000  # of inferences, the latest


class Tally:
    """A sink for one camera that counts, and passes on to another sink where there is one."""

    def __init__(self, sink: Sink | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts_deliveries = getattr(sink, "counts_deliveries", False)
        self.frames = 0
        self.frames_with_objects = 0
        self.labels: Counter[str] = Counter()
        self.groups = 0
        self.largest_group = 0
        self._tracks: set[int] = set()
        self._inference_s: deque[float] = deque(maxlen=TIMES)
        self._sink = sink
        self._clock = clock
        self._first_at: float | None = None
        self._last_at = 0.0

    async def detection(self, detection: Detection, /) -> None:
        self._count(detection)
        if self._sink is not None:
            await self._sink.detection(detection)

    async def status(self, status: CameraStatus, /) -> None:
        if self._sink is not None:
            await self._sink.status(status)

    def _count(self, detection: Detection) -> None:
        self._last_at = self._clock()
        if self._first_at is None:
            self._first_at = self._last_at - detection.inference_s
        self.frames += 1
        self.frames_with_objects += bool(detection.objects)
        self.labels.update(found.label for found in detection.objects)
        self.groups += len(detection.groups)
        self.largest_group = max([self.largest_group, *(len(group.members) for group in detection.groups)])
        if len(self._tracks) < MOST_TRACKS:
            self._tracks.update(found.track_id for found in detection.objects if found.track_id is not None)
        self._inference_s.append(detection.inference_s)

    def report(self) -> dict[str, Any]:
        """Plain values for JSON; seconds run from the first frame to the last."""
        times = sorted(self._inference_s)
        return {
            "frames": self.frames,
            "frames_with_objects": self.frames_with_objects,
            "objects_by_label": dict(self.labels.most_common()),
            "tracks": len(self._tracks),
            "groups": self.groups,
            "largest_group": self.largest_group,
            "seconds": round(self._last_at - self._first_at, 3) if self._first_at is not None else 0.0,
            "inference_ms_mean": round(1000 * statistics.fmean(times), 2) if times else None,
            "inference_ms_p95": round(1000 * times[math.ceil(0.95 * len(times)) - 1], 2) if times else None,
        }


def as_text(camera: str, source: str, model: str, report: dict[str, Any]) -> str:
    """The report of one camera for people."""
    lines = [f"{camera}: {report['frames']} frames of {source} in {report['seconds']:.1f} s"]
    labels = report["objects_by_label"]
    if not report["frames"]:
        return lines[0]
    found = ", ".join(f"{label} {count}" for label, count in labels.items()) or "nothing"
    lines.append(f"  found     {found}; in {report['frames_with_objects']} frames, {report['tracks']} tracks")
    lines.append(f"  groups    {report['groups']}, the largest of {report['largest_group']}")
    mean, p95 = report["inference_ms_mean"], report["inference_ms_p95"]
    lines.append(f"  detector  {model}, {mean:.0f} ms a frame, p95 {p95:.0f} ms")
    return "\n".join(lines)
