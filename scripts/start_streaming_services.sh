#!/bin/sh
# Start the task generator, LLM scheduler and result aggregator in the background, and wait until each is ready.
# Options: --wait SECONDS, --logs DIRECTORY, --config-dir DIRECTORY; see `vision-stream services start --help`.
cd "$(dirname "$0")/.." || exit 1
[ -x .venv/bin/python ] && PYTHON=${PYTHON:-.venv/bin/python}
exec "${PYTHON:-python3}" -m vision_stream services start "$@"
