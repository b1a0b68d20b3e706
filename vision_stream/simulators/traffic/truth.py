"""What the simulator knows about its picture: who is where, and what is dangerous."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Label = Literal["person", "bicycle", "car", "motorcycle", "bus", "truck"]
DangerLevel = Literal["low", "medium", "high"]
RiskLevel = Literal["none", "low", "medium", "high"]

LABELS: tuple[Label, ...] = get_args(Label)
DANGER_LEVELS: tuple[DangerLevel, ...] = get_args(DangerLevel)  # rising


class Actor(msgspec.Struct, frozen=True):
    """One road user in the picture. ``box``: x1 y1 x2 y2 in pixels, inside the frame.

    A rider is part of the bicycle or motorcycle, not a person of its own.
    """

    id: str
    label: Label
    box: tuple[float, float, float, float]


class Danger(msgspec.Struct, frozen=True):
    """A dangerous situation that is going on. ``started_at``: seconds on the scene's clock."""

    id: str
    level: DangerLevel
    risk_type: str
    members: tuple[str, ...]
    started_at: float


class SceneTruth(msgspec.Struct, frozen=True):
    """Everything that can be seen at ``t`` seconds; members of dangers are ids of ``actors``."""

    t: float
    actors: tuple[Actor, ...]
    dangers: tuple[Danger, ...]

    @property
    def max_level(self) -> RiskLevel:
        highest: RiskLevel = "none"
        for level in DANGER_LEVELS:
            if any(danger.level == level for danger in self.dangers):
                highest = level
        return highest
