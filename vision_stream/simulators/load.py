"""Detections as many cameras would send them: plausible, repeatable, without a frame being rendered. Pure.

Each detection brings new tracks, so that gating sees new groups and lets them pass, as far as the camera's cooldown
allows.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from vision_stream.messages import (
    Box,
    DetectedObject,
    Detection,
    Evidence,
    Group,
    NoEvidence,
    StageTimes,
)

WIDTH, HEIGHT = 1920, 1080
KINDS = (("person", 40, 110), ("car", 180, 120), ("truck", 260, 190), ("bicycle", 80, 100))  # label, width, height px


@dataclass(frozen=True)
class Load:
    """``cameras`` (>= 1) at ``fps`` (> 0) detections a second each, for ``seconds``, each with ``groups`` (>= 0)."""

    cameras: int
    fps: float
    seconds: float
    groups: int = 2
    session: str = "load"
    seed: int = 0

    @property
    def detections(self) -> int:
        return math.ceil(self.seconds * self.fps) * self.cameras


def schedule(load: Load) -> Iterator[tuple[float, int, int]]:
    """When what is due: (seconds from the start, camera from 0, sequence from 1), evenly spread over the cameras."""
    for sequence in range(math.ceil(load.seconds * load.fps)):
        for camera in range(load.cameras):
            yield (sequence + camera / load.cameras) / load.fps, camera, sequence + 1


def a_detection(load: Load, camera: int, sequence: int, *, now: float, picture: Evidence | None = None) -> Detection:
    """The detection of one camera and sequence: the same for the same seed, but for ``now`` (epoch seconds)."""
    rng = random.Random(f"{load.seed}/{camera}/{sequence}")
    camera_id = f"load-{camera + 1:04}"
    evidence = picture or NoEvidence(reason="simulated load")
    objects: list[DetectedObject] = []
    groups = []
    for index in range(load.groups):
        members = _members(rng, index, load.groups, first_id=len(objects), sequence=sequence)
        objects += members
        groups.append(_group(index, members, evidence))
    return Detection(
        detection_id=f"{camera_id}:{load.session}:{sequence}",
        camera_id=camera_id,
        session=load.session,
        sequence=sequence,
        times=StageTimes(captured_at=now, detected_at=now),
        frame_width=WIDTH,
        frame_height=HEIGHT,
        objects=tuple(objects),
        groups=tuple(groups),
        model="simulated-load",
    )


def _members(rng: random.Random, index: int, groups: int, *, first_id: int, sequence: int) -> list[DetectedObject]:
    left = WIDTH * (index + 0.3) / max(1, groups)  # groups stand apart from each other
    top = rng.uniform(200, 700)
    found = []
    for n in range(rng.randint(2, 4)):
        label, width, height = rng.choice(KINDS)
        x, y = left + 30 * n, top + rng.uniform(-20, 20)
        found.append(
            DetectedObject(
                object_id=first_id + n,
                label=label,
                confidence=round(rng.uniform(0.5, 0.98), 3),
                box=Box(x, y, x + width, y + height),
                track_id=sequence * 1000 + first_id + n,
            )
        )
    return found


def _group(index: int, members: list[DetectedObject], evidence: Evidence) -> Group:
    counts: dict[str, int] = {}
    for member in members:
        counts[member.label] = counts.get(member.label, 0) + 1
    return Group(
        index=index,
        box=Box(
            min(member.box.x1 for member in members),
            min(member.box.y1 for member in members),
            max(member.box.x2 for member in members),
            max(member.box.y2 for member in members),
        ),
        members=tuple(member.object_id for member in members),
        track_ids=tuple(member.track_id for member in members if member.track_id is not None),
        label_counts=counts,
        mean_confidence=sum(member.confidence for member in members) / len(members),
        evidence=evidence,
    )
