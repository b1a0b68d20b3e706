"""Faults under load, judged by content.

    World     the workers as processes of `faust -A vision_stream worker`, the LLM simulator, their environment
    Cameras   a steady load of detections, each with groups that the gate lets pass; knows what the brokers took
    Auditor   reads all topics from their start, and says what is missing in which hop; ``audit`` does so once
    committed says what is not committed

A fault is whatever a test does to a worker, the broker or Redis in between.
"""

from tests.faults.harness.audit import Auditor, Findings, audit
from tests.faults.harness.cameras import Cameras
from tests.faults.harness.offsets import committed
from tests.faults.harness.world import World, open_world

__all__ = ["Auditor", "Cameras", "Findings", "World", "audit", "committed", "open_world"]
