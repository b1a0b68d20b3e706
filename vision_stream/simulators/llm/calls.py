"""The log of every call, in memory and as JSON lines: by key id, never the key."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import IO

import msgspec


class Call(msgspec.Struct, frozen=True, kw_only=True):
    key: str  # its id; "unknown" for a key that the simulator does not have
    at: float  # epoch seconds, when the request's head reached the machine
    status: int  # 0: the client left before the answer, -1: cut on demand
    latency_s: float
    fault: str = ""
    model: str = ""
    pictures: int = 0
    risk_level: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class CallLog:
    """The last ``kept`` calls; all of them in ``path`` where one is given."""

    def __init__(self, kept: int, path: Path | None = None) -> None:
        self.calls: deque[Call] = deque(maxlen=kept)
        self.total = 0
        self._file: IO[bytes] | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")

    def add(self, call: Call) -> None:
        self.calls.append(call)
        self.total += 1
        if self._file is not None:
            self._file.write(msgspec.json.encode(call) + b"\n")  # buffered: a few hundred calls a write

    def since(self, at: float) -> list[Call]:
        return [call for call in self.calls if call.at >= at]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
