"""``python -m workers.gateway``: the same as ``vision-stream gateway``."""

from __future__ import annotations

import sys

from vision_stream.cli import main

if __name__ == "__main__":
    main(["gateway", *sys.argv[1:]])
