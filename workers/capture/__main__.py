"""``python -m workers.capture``: the same as ``vision-stream capture``."""

from __future__ import annotations

import sys

from vision_stream.cli import main

if __name__ == "__main__":
    main(["capture", *sys.argv[1:]])
