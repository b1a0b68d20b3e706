"""A simulated key's limits, without any margin, and the headers that tell a client of them, as OpenAI's do."""

from __future__ import annotations

from vision_stream.llm.limits import KeyLimits, Slots, key_limits
from vision_stream.simulators.llm.options import SimulatedKey


class StrictLimits:
    """``now`` is monotonic seconds. What is refused does not count."""

    def __init__(self, key: SimulatedKey) -> None:
        self._calls = key_limits(key.qps_limit, key.rpm_limit, jitter_s=0.0)
        self._tokens = key_limits(None, None, key.tpm_limit, jitter_s=0.0)

    def take_call(self, now: float) -> bool:
        return _take(self._calls, now) is not None

    def take_tokens(self, tokens: int, now: float) -> Slots | None:
        """As asked for: those of the prompt, and as many of the answer as it may take. None: there is no room."""
        return _take(self._tokens, now, tokens)

    def correct_tokens(self, slots: Slots, tokens: int) -> None:
        """What it really took."""
        self._tokens.correct(slots, tokens)

    def refusal(self, now: float, tokens: int = 0) -> dict[str, str]:
        """Headers of the 429 for a call, or for its ``tokens``."""
        wait_s = max(0.001, max(self._calls.free_at(), self._tokens.free_at(tokens)) - now)
        return {"Retry-After": f"{wait_s:.3f}", **self.headers(now, tokens)}

    def headers(self, now: float, tokens: int = 0) -> dict[str, str]:
        """Of each answer: the limit of the longest window, what remains of it, and when there is room again."""
        return _headers("requests", self._calls, 0, now) | _headers("tokens", self._tokens, tokens, now)


def _take(limits: KeyLimits, now: float, tokens: int = 0) -> Slots | None:
    if limits.free_at(tokens) > now:
        return None
    slots = limits.reserve(now, tokens) or ()
    limits.stamp(slots, now)
    return slots


def _headers(what: str, limits: KeyLimits, tokens: int, now: float) -> dict[str, str]:
    if not limits.windows:
        return {}
    window = max(limits.windows, key=lambda window: window.span_s)
    wait_s = max(0.0, limits.free_at(tokens) - now)
    return {
        f"x-ratelimit-limit-{what}": str(window.limit),
        f"x-ratelimit-remaining-{what}": "0" if wait_s else str(window.limit - window.used(now)),
        f"x-ratelimit-reset-{what}": f"{wait_s:.3f}s",
    }
