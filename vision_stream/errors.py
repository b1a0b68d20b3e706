"""The errors a person can do something about: what happened, where, and the remedy.

    VisionStreamError          exit 1, a run-time failure
    ├── ConfigError            exit 2, a setting or file is wrong
    ├── DependencyError        exit 3, a service was not reachable within its wait
    └── MessageError           a message that cannot be read; goes to the dead letters, ends nothing

``main`` in ``cli`` prints them, without a traceback, and returns their exit code.

Other exit codes: 0 done, or ended in order by SIGTERM; 4 a worker without progress, ended by its own watchdog (see
``watchdog``), or one that could not end in order in time; 130 ended by Ctrl-C; 143 SIGTERM came twice.
"""

from __future__ import annotations

STUCK = 4  # the exit code of a worker that makes no progress: start it again


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
