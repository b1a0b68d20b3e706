"""What is allowed, and yet unlikely to be meant: warnings, in the words of problems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vision_stream.config.files import prefix_of
from vision_stream.config.layers import Layer, place_of
from vision_stream.config.problems import Path, Problem, dotted
from vision_stream.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def on(settings: Settings, layers: Sequence[Layer]) -> Iterator[Problem]:
    def warning(path: Path, found: str, allowed: str, remedy: str) -> Problem:
        place = place_of(path, layers)
        return Problem(place, dotted(path[len(prefix_of(place)) :]), found, allowed, remedy)

    if not any(key.enabled for key in settings.llm.keys):
        remedy = "add a key to api_keys.yaml, or set OPENAI_API_KEY"
        yield warning(("llm", "keys"), "no enabled API key", "at least one, for risk judgements", remedy)
    if settings.gateway.host not in LOOPBACK and settings.gateway.token is None:
        found = f"{settings.gateway.host}, without a token"
        remedy = "set ALGO_GATEWAY_TOKEN (or ALGO_GATEWAY_TOKEN_FILE)"
        yield warning(("gateway", "host"), found, "a token where others can reach the gateway", remedy)
