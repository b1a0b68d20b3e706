"""Make the topics of Kafka that are missing: the same as ``vision-stream topics init``."""

from __future__ import annotations

import sys

from vision_stream.cli import main

if __name__ == "__main__":
    main(["topics", "init", *sys.argv[1:]])
