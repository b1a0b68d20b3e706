"""What it costs to paint over faces and plates, beside what a picture costs without: ``evidence.redact``.

    python benchmarks/redaction.py [--rounds 15]

Pictures of a simulated crossing: a group's as large as they come, a small group's, and a camera's newest frame. Ways
take turns on each picture. CPU milliseconds, medians; the models use one core. ``plain`` is the JPEG alone, which all
others include.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping

from vision_stream.messages import Box
from vision_stream.simulators.traffic import parse_scene
from workers.capture.pictures import encode, frame_picture, group_picture
from workers.capture.privacy import Redactor
from workers.capture.privacy.faces import Faces
from workers.capture.privacy.plates import Plates
from workers.capture.sources.base import Picture

QUALITY = 85


def pictures() -> dict[str, Picture]:
    scene = parse_scene("sim:crossing?seed=1&width=1920&height=1080")
    frame = scene.render(5.0)
    return {
        "large group": group_picture(frame, Box(300, 300, 1300, 800)),
        "small group": group_picture(frame, Box(800, 500, 1000, 620)),
        "newest frame": frame_picture(frame),
    }


def ways() -> dict[str, Callable[[Picture], Picture]]:
    faces, plates = Faces(), Plates()
    return {
        "plain": lambda picture: picture,
        "faces": Redactor({"faces": faces}).redact,
        "plates": Redactor({"plates": plates}).redact,
        "both": Redactor({"faces": faces, "plates": plates}).redact,
    }


def measure(picture: Picture, by: Mapping[str, Callable[[Picture], Picture]], rounds: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in by}
    for _ in range(rounds):
        for name, redact in by.items():
            before = time.process_time()
            encode(redact(picture), QUALITY)
            times[name].append((time.process_time() - before) * 1000)
    return {name: round(statistics.median(taken), 1) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    by = ways()
    print(f"CPU milliseconds a picture; load of the machine {os.getloadavg()[0]:.1f}")
    print(f"{'picture':<14}{'pixels':>10}" + "".join(f"{name:>9}" for name in by))
    figures = {}
    for name, picture in pictures().items():
        height, width = picture.shape[:2]
        figures[name] = {"width": width, "height": height, **measure(picture, by, rounds)}
        print(f"{name:<14}{f'{width}x{height}':>10}" + "".join(f"{figures[name][way]:>9.1f}" for way in by))
    print(json.dumps({"benchmark": "redaction", "cpu_ms": figures}))


if __name__ == "__main__":
    main()
