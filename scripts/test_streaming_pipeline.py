"""Does the streaming pipeline work, and how fast?

    python scripts/test_streaming_pipeline.py --mode e2e --duration 60
    python scripts/test_streaming_pipeline.py --mode producer --count 10
    python scripts/test_streaming_pipeline.py --mode consumer --timeout 30
    python scripts/test_streaming_pipeline.py --mode e2e --cameras 50 --fps 2 --duration 60 --stand-alone

e2e sends simulated detections and follows each to its verdict; producer only sends; consumer only reads, from a minute
ago on. They use the Kafka and the services that are configured: e2e makes LLM calls with your keys, and its cameras
(load-0001 and on) show on the dashboard. --stand-alone brings a Kafka, a worker and an LLM simulator of its own.

Exit code 0: passed; 1: failed, with the reasons; 2: usage or configuration; 3: Kafka is not reachable.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from vision_stream import config, logs
from vision_stream.errors import VisionStreamError
from vision_stream.pipeline_test import modes
from vision_stream.pipeline_test.modes import Result
from vision_stream.pipeline_test.stand_alone import stand_alone
from vision_stream.settings import Settings
from vision_stream.simulators.load import Load

RECENT_S = 60.0
P95_S, P95_STAND_ALONE_S = 10.0, 2.0  # the service level objective of a verdict; the benchmark's, with an LLM of 1 s
SCENE = "sim:crossing"


def main() -> int:
    given = _arguments()
    logs.setup("WARNING")
    try:
        result = asyncio.run(_run(given))
    except VisionStreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(msgspec.json.encode(result).decode() if given.json else _text(result))
    return 1 if result.wrong else 0


async def _run(given: argparse.Namespace) -> Result:
    if not given.stand_alone:
        return await _mode(given, config.load(given.config_dir))
    _say("starting a Kafka, a worker and an LLM simulator")
    async with stand_alone(llm_seconds=given.llm_seconds, with_pictures=given.picture_px > 0) as settings:
        return await _mode(given, settings)


async def _mode(given: argparse.Namespace, settings: Settings) -> Result:
    if given.mode == "consumer":
        since = time.time() - RECENT_S
        return await modes.consumer(settings, within_s=given.timeout, since=since, say=_say)
    load, pictures = _load(given), _pictures(given.picture_px)
    if given.mode == "producer":
        return await modes.producer(settings, load, pictures, say=_say)
    if not given.stand_alone:
        _say("this makes LLM calls with the configured API keys")
    limit_s = given.p95 or (P95_STAND_ALONE_S if given.stand_alone else P95_S)
    return await modes.end_to_end(settings, load, pictures, p95_limit_s=limit_s, say=_say)


def _load(given: argparse.Namespace) -> Load:
    seconds = given.duration
    if given.mode == "producer":  # as many as asked for, spread over the cameras
        given.cameras = min(given.cameras, given.count)
        seconds = given.count / given.cameras / given.fps
    return Load(cameras=given.cameras, fps=given.fps, seconds=seconds, groups=given.groups, session=modes.a_session())


def _pictures(width: int) -> Sequence[bytes]:
    if not width:
        return ()
    from vision_stream.simulators.load_pictures import pictures

    return pictures(SCENE, width=width)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _text(result: Result) -> str:
    lines = [f"{name:22} {value}" for name, value in result.counts.items()]
    if result.rows:
        lines += ["", f"{'latency, seconds':22} {'n':>7} {'p50':>9} {'p95':>9} {'max':>9}"]
        lines += [f"{r.stage:22} {r.count:7} {r.p50:9.3f} {r.p95:9.3f} {r.longest:9.3f}" for r in result.rows]
    lines += ["", *(f"FAILED  {reason}" for reason in result.wrong)] if result.wrong else ["", "PASSED"]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--mode", choices=("e2e", "producer", "consumer"), default="e2e")
    add("--duration", type=_above_0, default=60.0, metavar="SECONDS", help="of the load of e2e")
    add("--count", type=_whole, default=10, help="detections that producer sends")
    add("--timeout", type=_above_0, default=30.0, metavar="SECONDS", help="of consumer, for all stages to be seen")
    add("--cameras", type=_whole, default=2, help="simulated ones")
    add("--fps", type=_above_0, default=1.0, help="detections a second and camera")
    add("--groups", type=_whole, default=3, help="in each detection: LLM calls that it may cause")
    add("--picture-px", type=int, default=320, help="width of a group's picture; 0: none (llm.require_picture: false)")
    add("--p95", type=_above_0, metavar="SECONDS", help="limit end to end; 10, or 2 with --stand-alone")
    add("--stand-alone", action="store_true", help="bring a Kafka, a worker and an LLM simulator")
    add("--llm-seconds", type=_above_0, default=1.0, help="latency of the simulator of --stand-alone")
    add("--config-dir", type=Path, help="of the YAML files")
    add("--json", action="store_true", help="the result for a script")
    return parser.parse_args()


def _above_0(text: str) -> float:
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError("has to be above 0")
    return value


def _whole(text: str) -> int:
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError("has to be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
