"""The child of ``probe``: a ``Wanted`` on standard input, a ``Seen`` or ``Unseen`` on standard output."""

from __future__ import annotations

import os
import sys

import msgspec

from workers.capture.probe import Wanted
from workers.capture.probe.look import look

if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with the answer
    found = look(msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted))
    os.write(answer, msgspec.json.encode(found))
    os._exit(0)  # without waiting for a decoder's threads
