"""What a source is, or why it cannot be seen: one look at it, in a process of its own.

A driver or decoder that hangs or crashes so takes nothing with it, and FFmpeg's own lines, which may quote an address
with its password, go nowhere. ``look`` is what runs there, ``causes`` puts its errors into words.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import msgspec

SPARE_S = 5.0  # beside the time for the source: a Python's start and end on a busy machine


class Wanted(msgspec.Struct, frozen=True):
    """What the child is told, over its standard input: a command line can be read by every user."""

    source: str
    timeout_s: float  # to open, and once more for the first picture
    transport: Literal["tcp", "udp"] = "tcp"  # of RTSP
    networks: tuple[str, ...] = ()  # where a guarded source may lead


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    width: int  # pixels
    height: int
    fps: float | None  # as the source says; None where it does not
    codec: str


class Unseen(msgspec.Struct, frozen=True, tag="unseen"):
    cause: str  # in words, without credentials


def probe(
    source: str,
    *,
    timeout_s: float = 5.0,
    spare_s: float = SPARE_S,
    transport: Literal["tcp", "udp"] = "tcp",
    networks: tuple[str, ...] = (),
) -> Seen | Unseen:
    """Look at ``source`` once; raises nothing.

    Blocks for at most ``2 * timeout_s + spare_s``; over UDP twice as long, as a silence there is compared with TCP.
    """
    wanted = msgspec.json.encode(Wanted(source, timeout_s, transport, networks))
    limit_s = 2 * timeout_s * (2 if transport == "udp" else 1) + spare_s
    try:
        done = subprocess.run(  # kills it when its time is over
            [sys.executable, "-m", "workers.capture.probe"],
            input=wanted,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
        )
        return msgspec.json.decode(done.stdout, type=Seen | Unseen)
    except subprocess.TimeoutExpired:
        return Unseen(f"its driver or decoder hung for {limit_s:g} s")
    except (OSError, msgspec.DecodeError):
        return Unseen("its driver or decoder crashed")
