"""A YAML file to plain values, each with its line and column; never more than the safe, small part of YAML.

PyYAML's node tree is read, not ``yaml.load``: it keeps positions, and nothing is built that is not plain data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from vision_stream.config.problems import Path, Place, Problem, dotted
from vision_stream.config.yaml_text import DEEPEST, Unreadable, compose, place_of, too_deep

MOST_NODES = 20_000  # after aliases; 1,000 cameras need 13,000
LONGEST_NUMBER = 400  # characters; the largest float has 309 digits

_TAG = "tag:yaml.org,2002:"
_SCALARS = {"str", "int", "float", "bool", "null", "timestamp"}
_scalars = yaml.constructor.SafeConstructor()


@dataclass
class Tree:
    """A file's content; what could not be read is left out of ``data`` and told in ``problems``."""

    data: dict[str, Any] = field(default_factory=dict, repr=False)  # may hold secrets
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(raw: bytes, name: str) -> Tree:
    """Parse one file; ``name`` is what places call it."""
    tree = Tree()
    try:
        root = compose(raw, name)
        if root is not None:
            _Builder(name, tree).root(root)
    except Unreadable as error:
        tree.problems.append(error.problem)
    return tree


class _Builder:
    """Turns nodes into values, and remembers places; aliases are followed, so it counts what it visits."""

    def __init__(self, name: str, tree: Tree) -> None:
        self._name = name
        self._tree = tree
        self._visited = 0

    def root(self, node: yaml.Node) -> None:
        if not isinstance(node, yaml.MappingNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
            found, remedy = f"{kind} at the top", "write one setting a line as `name: value`"
            raise Unreadable(self._at(node), found, "a mapping (`name: value`)", remedy)
        self._tree.data = self._mapping(node, ())

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._visited += 1
        if self._visited > MOST_NODES:
            found = f"more than {MOST_NODES:_} values, aliases followed"
            allowed, remedy = f"at most {MOST_NODES:_}", "remove aliases (`*name`)"
            raise Unreadable(self._at(node), found, allowed, remedy, dotted(path))
        if len(path) > DEEPEST:
            raise too_deep(self._at(node))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return self._sequence(node, path)
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in _SCALARS:
            return self._scalar(node, path)
        remedy = "remove the tag; put text that starts with `!` in quotes"
        self._report(node, path, "a YAML tag (`!`)", "plain YAML", remedy)
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        first: dict[str, Place] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in (f"{_TAG}str", f"{_TAG}int"):
                self._report(key_node, path, "a name that is not text", "text", "put the name in quotes")
                continue
            key = key_node.value
            here = (*path, key)
            if key in first:
                found = f"twice; first on line {first[key].line}"
                self._report(key_node, here, found, "each name once", "remove one of the two")
                continue
            first[key] = self._at(key_node)
            self._tree.places[here] = self._at(value_node) if _written(value_node) else first[key]
            result[key] = self._value(value_node, here)
        for source in merged:
            self._merge(source, path, result)
        return result

    def _merge(self, source: yaml.Node, path: Path, into: dict[str, Any]) -> None:
        if not isinstance(source, yaml.MappingNode):
            self._report(source, path, "`<<` with something that is no mapping", "`<<: *name`", "remove the line")
            return
        known = dict(self._tree.places)
        for key, value in self._mapping(source, path).items():
            into.setdefault(key, value)
        self._tree.places |= known  # what is written here stands over what is merged in

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        result = []
        for index, item in enumerate(node.value):
            self._tree.places[(*path, index)] = self._at(item)
            result.append(self._value(item, (*path, index)))
        return result

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "timestamp") or (kind in ("int", "float") and ":" in node.value):
            return node.value  # YAML 1.1 reads 10:30 as a number to the base of 60; nobody means that
        if kind == "null":
            return None
        if len(node.value) > LONGEST_NUMBER:  # Python reads one of thousands of digits in base 16, and cannot show it
            self._report(node, path, f"a number of {len(node.value)} characters", "", "correct it, or quote the text")
            return None
        try:
            return getattr(_scalars, f"construct_yaml_{kind}")(node)
        except (ValueError, KeyError):
            self._report(node, path, f"no {kind}", "", f"write a plain {kind}, or put the text in quotes")
            return None

    def _report(self, node: yaml.Node, path: Path, found: str, allowed: str, remedy: str) -> None:
        self._tree.problems.append(Problem(self._at(node), dotted(path), found, allowed, remedy))

    def _at(self, node: yaml.Node) -> Place:
        return place_of(node.start_mark, self._name)


def _written(node: yaml.Node) -> bool:
    """Whether a scalar's value is more than nothing (`name:` alone has its mark after the line)."""
    return not isinstance(node, yaml.ScalarNode) or node.start_mark.index != node.end_mark.index
