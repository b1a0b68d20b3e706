"""A verdict to JSON that fits the schema asked for: known names keep their values, others get the plainest one."""

from __future__ import annotations

from typing import Any

PLAIN: dict[str, Any] = {"string": "", "number": 0.0, "integer": 0, "boolean": False, "array": [], "null": None}


def fit(schema: dict[str, Any], verdict: dict[str, Any]) -> dict[str, Any]:
    """An object with the schema's properties.

    >>> fit({"properties": {"risk_level": {"enum": ["none", "high"]}, "seen": {"type": "integer"}}},
    ...     {"risk_level": "high", "confidence": 0.9})
    {'risk_level': 'high', 'seen': 0}
    """
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return verdict
    return {name: _value(wanted, verdict.get(name)) for name, wanted in properties.items()}


def _value(wanted: dict[str, Any], known: Any) -> Any:
    if known is not None:
        return known
    if wanted.get("enum"):
        return wanted["enum"][0]
    kind = wanted.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else "null"
    if kind == "object":
        return fit(wanted, {})
    return PLAIN.get(kind or "null")
