"""``python -m vision_stream``: the same as ``vision-stream``."""

from vision_stream.cli import main

main()
