"""``python -m tests.fuzz [TARGET] [--seconds N]``: atheris, guided by what an input reaches; exit code 77: a defect.

Needs ``pip install -e '.[fuzz]'``. New inputs are kept in var/fuzz/TARGET, from where the next run goes on; an input
that breaks a target is written to var/fuzz/crash-..., and its traceback shown.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

CORPUS = Path("var/fuzz")
LONGEST = 4096  # bytes of an input


def main() -> None:
    try:
        atheris: Any = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed; remedy: pip install -e '.[fuzz]'")
    with atheris.instrument_imports(include=["vision_stream", "workers", "tables", "yaml", "dotenv"]):
        from tests.fuzz.targets import TARGETS
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", nargs="?", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    if asked.target is None:
        print("\n".join(TARGETS))
        return
    target, corpus = TARGETS[asked.target], CORPUS / asked.target
    corpus.mkdir(parents=True, exist_ok=True)
    for n, example in enumerate(target.examples):
        (corpus / f"example-{n}").write_bytes(example)
    options = (f"-max_total_time={asked.seconds}", f"-max_len={LONGEST}", f"-artifact_prefix={CORPUS}/")
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


main()
