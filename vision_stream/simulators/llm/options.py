"""What an LLM simulator is told: its keys and their limits, its latency, its seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vision_stream.errors import ConfigError


@dataclass(frozen=True)
class SimulatedKey:
    id: str
    secret: str = field(repr=False)
    qps_limit: float | None = None
    rpm_limit: int | None = None
    tpm_limit: int | None = None


@dataclass(frozen=True)
class Fixed:
    """Always ``seconds``."""

    seconds: float

    def draw(self, rng: random.Random) -> float:
        return self.seconds


@dataclass(frozen=True)
class Lognormal:
    """Half of the answers within ``median_s``, 95 % within ``p95_s``: the long tail of real endpoints."""

    median_s: float
    p95_s: float

    def draw(self, rng: random.Random) -> float:
        sigma = math.log(self.p95_s / self.median_s) / 1.6449  # the normal distribution's 95th percentile
        return rng.lognormvariate(math.log(self.median_s), sigma)


Latency = Fixed | Lognormal


def parse_latency(text: str) -> Latency:
    """Read ``0.2`` (seconds, always) or ``lognormal:1.2,4`` (median and 95th percentile, seconds).

    Raises:
        ConfigError: neither of the two, or not positive.
    """
    try:
        if text.startswith("lognormal:"):
            median_s, p95_s = (float(part) for part in text.removeprefix("lognormal:").split(","))
            if 0 < median_s < p95_s:
                return Lognormal(median_s, p95_s)
        elif float(text) >= 0:
            return Fixed(float(text))
    except ValueError:
        pass
    raise ConfigError(
        f"latency {text!r} is not understood", remedy="give seconds as 0.2, or lognormal:MEDIAN,P95 as lognormal:1.2,4"
    )


def numbered_keys(
    count: int, *, qps_limit: float | None = None, rpm_limit: int | None = None, tpm_limit: int | None = None
) -> tuple[SimulatedKey, ...]:
    """``key-001`` with the secret ``sk-sim-001`` and so on."""
    limits = (qps_limit, rpm_limit, tpm_limit)
    return tuple(SimulatedKey(f"key-{n:03}", f"sk-sim-{n:03}", *limits) for n in range(1, count + 1))


@dataclass(frozen=True)
class SimulatorOptions:
    keys: tuple[SimulatedKey, ...] = numbered_keys(3)
    latency: Latency = Fixed(0.2)
    judge: Literal["truth", "hash"] = "truth"  # hash: never looks at the picture, for load tests
    structured_output: Literal["json_schema", "json_object", "none"] = "json_schema"  # the most it accepts
    models: tuple[str, ...] = ("vision-sim", "gpt-4o-mini")
    seed: int = 0
    calls_kept: int = 500_000
    call_log: Path | None = None  # JSON lines
    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
