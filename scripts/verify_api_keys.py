"""Say which API keys work, with one cheap call each: the same as ``vision-stream keys test``.

Exits 1 when fewer than ``--min`` (3) keys work, 2 when the configuration is wrong. Prints no key.
"""

from __future__ import annotations

import sys

from vision_stream.cli import main

if __name__ == "__main__":
    main(["keys", "test", *sys.argv[1:]])
