"""``python -m workers.mqtt``: the same as ``vision-stream mqtt``."""

from __future__ import annotations

import sys

from vision_stream.cli import main

if __name__ == "__main__":
    main(["mqtt", *sys.argv[1:]])
