"""``vision-stream version``: what is installed."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated

import typer

import vision_stream

PARTS = ("faust-streaming", "aiokafka", "redis", "aiohttp", "openai", "opencv-python", "onnxruntime", "ultralytics")


def version(as_json: Annotated[bool, typer.Option("--json", help="for a script")] = False) -> None:
    """Print the version, and those of the parts that matter in a report of a fault."""
    found = {"vision-stream": vision_stream.__version__, "python": platform.python_version()}
    found |= {part: _installed(part) for part in PARTS}
    if as_json:
        print(json.dumps(found))
    else:
        for part, number in found.items():
            print(f"{part:16} {number}")


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def register(app: typer.Typer) -> None:
    app.command()(version)
