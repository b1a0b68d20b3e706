"""The errors a person can do something about: what happened, where, and the remedy.

    VisionStreamError          exit 1, a run-time failure
    ├── ConfigError            exit 2, a setting or file is wrong
    ├── DependencyError        exit 3, a service was not reachable within its wait
    └── MessageError           a message that cannot be read; goes to the dead letters, ends nothing

``main`` in ``cli`` prints them, without a traceback, and returns their exit code. Those that an operator meets in
production, and the log's lines of that kind, have an id: docs/errors.md has a section for each.

Other exit codes: 0 done, or ended in order by SIGTERM; 4 a worker without progress, ended by its own watchdog (see
``watchdog``), or one that could not end in order in time; 130 ended by Ctrl-C; 143 SIGTERM came twice.
"""

from __future__ import annotations

STUCK = 4  # the exit code of a worker that makes no progress: start it again


class VisionStreamError(Exception):
    """Says what went wrong, and what to do about it; holds no secret."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "", error_id: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.error_id = error_id

    def __str__(self) -> str:
        more = {"remedy": self.remedy, "more": f"{self.error_id} in docs/errors.md" if self.error_id else ""}
        return "\n".join([self.what, *(f"  {name}: {text}" for name, text in more.items() if text)])


class ConfigError(VisionStreamError):
    """A setting is missing, unknown, of the wrong type or contradicts another."""

    exit_code = 2


class DependencyError(VisionStreamError):
    """A service that is needed (broker, Redis, ...) was not reachable within its wait."""

    exit_code = 3


class MessageError(VisionStreamError):
    """A message on a topic cannot be read."""
