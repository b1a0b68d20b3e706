"""Vision Stream: detections at once, an LLM's risk judgement behind them.

Read it in the order of the data: ``messages`` (what travels), ``clustering`` (boxes to groups), ``group_identity``
(which is which of before), ``gating`` (which groups deserve an LLM call), ``llm`` (the key pool and the call),
``joining`` (a request's outcomes to one assessment), ``alerts`` (assessments to alerts), ``stores`` (evidence,
frames, cache).

Around that core: ``settings`` and ``topics`` describe, ``delivery`` and ``app`` run it on Faust, ``broker`` runs
Kafka for the demo and the tests, ``simulators`` stand in for cameras and LLMs under their own name, ``cli`` is the
command line.

``app`` is built on first use, so that the core and the capture worker never import Faust.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vision_stream.app import app as app

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "app":  # `faust -A vision_stream worker` looks for it here
        from vision_stream.app import app

        globals()["app"] = app  # it looks twice; else it would find the module, which importing has put here
        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
