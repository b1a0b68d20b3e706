"""A fault in the configuration, and the error that reports all of them: at most five lines each.

config/api_keys.yaml:3:16
  field:   keys[0].rpm_limit
  found:   0
  allowed: a whole number, above 0 and at most 1000000
  remedy:  set it above 0, or remove the line: not limited
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vision_stream.errors import ConfigError
from vision_stream.redaction import mask

Path = tuple[str | int, ...]  # of a setting: ("llm", "keys", 0, "rpm_limit")
SHOWN = 10  # problems. More at once do not help: the first often cause the others.
LONGEST = 200  # characters of one line


@dataclass(frozen=True)
class Place:
    """Where a value was written: a file, with the line and column from 1 on, or the name of what is no file."""

    name: str
    line: int = 0
    column: int = 0
    variable: str = ""  # the environment's name for it, in .env too

    def __str__(self) -> str:
        where = f"{self.name}:{self.line}:{self.column}" if self.line else self.name
        return f"{where} {self.variable}".rstrip()


@dataclass(frozen=True)
class Problem:
    """One fault; ``found`` holds no secret."""

    place: Place
    field: str
    found: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        rows = (("field", self.field), ("found", self.found), ("allowed", self.allowed), ("remedy", self.remedy))
        lines = [_line(f"  {f'{name}:':8} {text}") for name, text in rows if text]
        return "\n".join([_line(str(self.place)), *lines])


class InvalidConfig(ConfigError):
    """The settings cannot be used; ``problems`` has every reason, in the order of the files and their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.place.name, problem.place.line)))
        blocks = [str(problem) for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            blocks.append(f"... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join(blocks))


def dotted(path: Path) -> str:
    """The path as a person writes it.

    >>> dotted(("keys", 0, "rpm_limit"))
    'keys[0].rpm_limit'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _line(text: str) -> str:
    one = "".join(char if char.isprintable() else "?" for char in mask(text))
    return one if len(one) <= LONGEST else one[: LONGEST - 3] + "..."
