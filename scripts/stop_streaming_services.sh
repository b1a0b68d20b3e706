#!/bin/sh
# Stop the task generator, LLM scheduler and result aggregator; by force where they take too long.
# Safe to call twice. See `vision-stream services stop --help`.
cd "$(dirname "$0")/.." || exit 1
[ -x .venv/bin/python ] && PYTHON=${PYTHON:-.venv/bin/python}
exec "${PYTHON:-python3}" -m vision_stream services stop "$@"
