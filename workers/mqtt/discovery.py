"""A camera as Home Assistant's MQTT discovery wants it: one device, with its entities in one retained message.

Needs Home Assistant 2024.12, the first with discovery of whole devices. An empty message in its place removes them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from vision_stream import __version__
from workers.mqtt.topics import ALL, Topics, as_id

_ONLINE = {"payload_available": "online", "payload_not_available": "offline"}


def device(topics: Topics, camera_id: str, name: str, labels: Iterable[str]) -> bytes:
    """The message for ``topics.discovery(camera_id)``; ``labels`` as in the counts' topics, without ``all``."""
    own = topics.device(camera_id)
    entities = {
        "alert": _alert(topics, camera_id),
        "status": _status(topics, camera_id),
        **{f"count_{as_id(label)}": _count(topics, camera_id, label) for label in (ALL, *sorted(labels))},
    }
    whole = {
        "device": {
            "identifiers": [own],
            "name": name or camera_id,
            "manufacturer": "Vision Stream",
            "model": "Camera",
            "sw_version": __version__,
        },
        "origin": {"name": "Vision Stream", "sw_version": __version__},
        "components": {key: {"unique_id": f"{own}__{key}", **entity} for key, entity in entities.items()},
    }
    return msgspec.json.encode(whole)


def _count(topics: Topics, camera_id: str, label: str) -> dict[str, Any]:
    return {
        "platform": "sensor",
        "name": "Objects" if label == ALL else label.replace("_", " ").capitalize(),
        "state_topic": topics.count(camera_id, label),
        "state_class": "measurement",
        "icon": "mdi:counter",
        **_while_seen(topics, camera_id),
    }


def _alert(topics: Topics, camera_id: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": "Danger",
        "device_class": "safety",  # on means unsafe
        "state_topic": topics.alert(camera_id),
        "json_attributes_topic": topics.alert_details(camera_id),
        **_while_seen(topics, camera_id),
    }


def _status(topics: Topics, camera_id: str) -> dict[str, Any]:
    return {
        "platform": "binary_sensor",
        "name": "Camera",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": topics.status(camera_id),
        "value_template": "{{ 'ON' if value == 'online' else 'OFF' }}",
        "json_attributes_topic": topics.status_reason(camera_id),
        "availability": [{"topic": topics.available, **_ONLINE}],
    }


def _while_seen(topics: Topics, camera_id: str) -> dict[str, Any]:
    """Known while both we and the camera are there."""
    seen = {
        "topic": topics.status(camera_id),
        "value_template": "{{ 'online' if value == 'online' else 'offline' }}",  # it may also be: disabled
        **_ONLINE,
    }
    return {"availability": [{"topic": topics.available, **_ONLINE}, seen], "availability_mode": "all"}
