"""The errors a person can do something about: what happened, where, and the remedy.

    VisionStreamError          exit 1, a run-time failure
    ├── ConfigError            exit 2, a setting or file is wrong
    ├── DependencyError        exit 3, a service was not reachable within its wait
    └── MessageError           a message that cannot be read; goes to the dead letters, ends nothing

``main`` in ``cli`` prints them, without a traceback, and returns their exit code.
"""

from __future__ import annotations


class VisionStreamError(Exception):
    """Says what went wrong, and what to do about it; holds no secret."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  remedy: {self.remedy}" if self.remedy else self.what


class ConfigError(VisionStreamError):
    """A setting is missing, unknown, of the wrong type or contradicts another."""

    exit_code = 2


class DependencyError(VisionStreamError):
    """A service that is needed (broker, Redis, ...) was not reachable within its wait."""

    exit_code = 3


class MessageError(VisionStreamError):
    """A message on a topic cannot be read."""
