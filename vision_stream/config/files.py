"""The files of a configuration directory to one layer: which there are, what they may hold, and secrets from outside.

``${NAME}`` in a text value is the environment's (or ``.env``'s) ``NAME``, ``${NAME:-text}`` has a default, and
``$${`` stands for ``${`` itself. ``api_key_file`` beside a key's id names a file that holds the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from vision_stream.config import schema, yaml_nodes
from vision_stream.config.environment import secret_in
from vision_stream.config.layers import Layer, put
from vision_stream.config.problems import Path, Place, Problem, dotted

FILES: dict[str, Path] = {
    "settings.yaml": (),
    "api_keys.yaml": ("llm",),
    "kafka.yaml": ("kafka",),
    "monitoring.yaml": ("monitoring",),
    "cameras.yaml": ("cameras",),
    "model.yaml": ("model",),
}
ELSEWHERE = {path[0]: name for name, path in FILES.items() if path}  # sections that settings.yaml leaves to others

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class FilesReader:
    """Reads all files, and keeps what is wrong with them in ``problems``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[Problem] = []
        self._data: dict[str, Any] = {}
        self._places: dict[Path, Place] = {}
        self._written: dict[Path, str] = {}

    def read(self, directory: FilePath | None) -> Layer:
        """The layer of the directory's files; a file that is not there gives nothing, ``None`` neither."""
        if directory is not None and not directory.is_dir():
            found = "a file" if directory.exists() else "no such directory"
            remedy = "correct --config-dir or ALGO_CONFIG_DIR, or unset it"
            self.problems.append(Problem(Place(str(directory)), "", found, "a directory with the YAML files", remedy))
        elif directory is not None:
            for name, prefix in FILES.items():
                self._file(directory / name, prefix)
            self._misnamed(directory)
        return Layer(self._data, self._places, self._written)

    def _file(self, path: FilePath, prefix: Path) -> None:
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            self._report(
                Place(str(path)), "", reason, "a readable file", "correct the file's permissions, or remove it"
            )
            return
        tree = yaml_nodes.read(raw, str(path))
        self.problems += tree.problems
        self._places |= {(*prefix, *inner): place for inner, place in tree.places.items()}
        for name, value in tree.data.items():
            here = (*prefix, name)
            if not prefix and name in ELSEWHERE:
                remedy = f"move it to {path.with_name(ELSEWHERE[name])}"
                self._report(self._places[here], name, "a section of another file", "", remedy)
            elif not _left_out(here, value):
                put(self._data, here, self._resolved(here, value, prefix))

    def _resolved(self, path: Path, value: Any, prefix: Path) -> Any:
        """``value`` with what lies outside of the file put in, and sections without content left out."""
        if isinstance(value, dict):
            below = {name: item for name, item in value.items() if not _left_out((*path, name), item)}
            resolved = {name: self._resolved((*path, name), item, prefix) for name, item in below.items()}
            return self._with_key_file(path, resolved, prefix)
        if isinstance(value, list):
            return [self._resolved((*path, index), item, prefix) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            self._written[path] = value
            return self._expanded(path, value, prefix)
        return value

    def _expanded(self, path: Path, text: str, prefix: Path) -> str:
        def replacement(match: re.Match[str]) -> str:
            literal, name, default = match.groups()
            if literal:
                return literal
            value = self._environment.get(name) or default
            if value is None:
                found = f"${{{name}}}, and no variable {name} in the environment or .env"
                remedy = f"set {name}, or write ${{{name}:-default}}"
                self._report(self._places[path], dotted(path[len(prefix) :]), found, "", remedy)
            return value or ""

        return _REFERENCE.sub(replacement, text)

    def _with_key_file(self, path: Path, entry: dict[str, Any], prefix: Path) -> dict[str, Any]:
        if path[:2] != ("llm", "keys") or len(path) != 3 or not isinstance(entry.get("api_key_file"), str):
            return entry
        place = self._places[(*path, "api_key_file")]
        field = dotted((*path[len(prefix) :], "api_key_file"))
        file = FilePath(place.name).parent / entry.pop("api_key_file")
        if "api_key" in entry:
            self._report(place, field, "both api_key and api_key_file", "one of the two", "remove one of the two lines")
            return entry
        self._places[(*path, "api_key")] = place
        try:
            return {**entry, "api_key": secret_in(file).strip()}
        except (OSError, ValueError):
            remedy = "correct the path (it starts at the YAML file's directory), or the permissions"
            self._report(place, field, f"{file}, which cannot be read", "a text file with the key", remedy)
            return {**entry, "api_key": ""}

    def _misnamed(self, directory: FilePath) -> None:
        """Report ``kafka.yml`` or ``api-keys.yaml``: they would be passed over without a word."""
        for path in sorted(directory.iterdir()):
            if path.suffix not in (".yaml", ".yml") or path.name in FILES:
                continue
            near = get_close_matches(f"{path.stem}.yaml".replace("-", "_").lower(), FILES, n=1, cutoff=0.9)
            if near:
                found = "a name that no configuration file has"
                self._report(Place(str(path)), "", found, ", ".join(FILES), f"rename it to {near[0]}")

    def _report(self, place: Place, field: str, found: str, allowed: str, remedy: str) -> None:
        self.problems.append(Problem(place, field, found, allowed, remedy))


def prefix_of(place: Place) -> Path:
    """The section that the file of ``place`` holds."""
    return FILES.get(FilePath(place.name).name, ()) if place.line and not place.variable else ()


def _left_out(path: Path, value: Any) -> bool:
    """Whether it is a section or a list with all its lines commented out."""
    leaf = schema.find(path)
    return value is None and leaf is not None and (leaf.model is not None or leaf.item is not None)
