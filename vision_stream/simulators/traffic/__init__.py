"""Traffic scene simulator: a picture of a road and the truth about it, both functions of a name, a seed and the time.

``address`` turns ``sim:crossing?seed=3`` into a ``scene``, which asks a module of ``scenes`` to write an ``episode``
(who comes along in ``queues`` or alone, what becomes dangerous), moves everybody (``motion``), draws the ``ground``
and the ``actors`` on it (``vehicles`` are ``solids``, ``people`` are ``figures``) through a ``camera`` in the
``light`` of the day. ``truth`` is what it knows; ``rings`` is how a danger shows in the picture, and how to read it
back. Nothing here knows the rest of the project.
"""

from vision_stream.simulators.traffic.address import parse_scene
from vision_stream.simulators.traffic.rings import RING_BGR, read_danger
from vision_stream.simulators.traffic.scene import SCENE_NAMES, TrafficScene
from vision_stream.simulators.traffic.truth import (
    DANGER_LEVELS,
    LABELS,
    Actor,
    Danger,
    DangerLevel,
    Label,
    RiskLevel,
    SceneTruth,
)

__all__ = [
    "DANGER_LEVELS", "LABELS", "RING_BGR", "SCENE_NAMES",
    "Actor", "Danger", "DangerLevel", "Label", "RiskLevel", "SceneTruth", "TrafficScene",
    "parse_scene", "read_danger",
]  # fmt: skip
