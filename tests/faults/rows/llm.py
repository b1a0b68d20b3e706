"""F10: an LLM dead, slow, at its limit, broken or lying. A broken answer is a failed assessment, never "none"."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import Any

from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.faults.suite.surroundings import SPECIAL

LASTS_S = (2.0, 4.0)
RECOVERS_S = 5.0
TAKES_HOLD_S = 0.2  # the call's start as we stamp it, and when its request has arrived


async def dead(scene: Scene, rng: random.Random) -> None:
    scene.llm.kill()
    await asyncio.sleep(rng.uniform(*LASTS_S))
    scene.llm.start()


async def broken(scene: Scene, rng: random.Random, kinds: tuple[str, ...]) -> None:
    """Each call begun meanwhile gets a broken answer: none of them may become a verdict."""
    kind = rng.choice(kinds)
    scene.event(kind)
    began = time.time()
    await _for_a_while(scene, rng, fault=kind)
    ended = time.time()
    believed = [h for h in scene.auditor.heard if began + TAKES_HOLD_S < h.called_at < ended - TAKES_HOLD_S]
    assert not believed, f"verdicts from answers that were {kind}: {believed[:5]}"


async def off(scene: Scene, rng: random.Random, **fault: Any) -> None:
    await _for_a_while(scene, rng, **fault)


async def _for_a_while(scene: Scene, rng: random.Random, **fault: Any) -> None:
    await scene.control_llm(**fault)
    try:
        await asyncio.sleep(rng.uniform(*LASTS_S))
    finally:
        await scene.control_llm(fault=None)


ROWS = tuple(
    Row(f"F10.{name}", f"The LLM {title}", fault, RECOVERS_S, SPECIAL, about_s=20.0)
    for name, title, fault in (
        ("dead", "dead for 2 to 4 s", dead),
        ("slow", "30 s slow for the calls of 2 to 4 s", partial(off, fault="slow", delay_s=30.0)),
        ("limited", "answers 429 to all for 2 to 4 s", partial(off, fault="429", retry_after="1")),
        ("failing", "answers 500 or 503 to all for 2 to 4 s", partial(broken, kinds=("500", "503"))),
        ("cut", "breaks off in the middle of each answer", partial(broken, kinds=("cut", "truncated", "trickle"))),
        (
            "wrong-schema",
            "answers what does not fit, is no JSON, or refuses",
            partial(broken, kinds=("wrong_schema", "garbage", "refused")),
        ),
        ("lying", "says the opposite, about objects that are not there", partial(off, fault="lying")),
    )
)
