"""Which groups of a detection deserve an LLM call, and how urgently.

    state     what is remembered of a camera: its recent groups, where their objects were, what was judged
    matching  which group of now is which of before, by track ids and overlap
    priority  how urgent a group looks, from what can be seen without an LLM
    gate      the decision: ``gate`` (detection in, tasks and skips out) and ``learn`` (a verdict comes back)

Pure and deterministic: the clock is the frame's own time, so that a detection that comes again, against the state of
before, gives the same tasks with the same ids.
"""

from vision_stream.gating.gate import Gated, gate, learn
from vision_stream.gating.state import CameraGate

__all__ = ["CameraGate", "Gated", "gate", "learn"]
