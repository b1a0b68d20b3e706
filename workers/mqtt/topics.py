"""The names of what is published: levels of MQTT topics, and ids of Home Assistant's."""

from __future__ import annotations

import re
from dataclasses import dataclass

ALL = "all"
LONGEST = 100  # characters of a level

_NOT_IN_A_LEVEL = re.compile(r"[^\w.-]+")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9-]")


def level(text: str) -> str:
    """A name as one level of a topic: without the separator, wildcards and spaces.

    >>> level("traffic light"), level("a/b#+"), level("")
    ('traffic_light', 'a_b_', '_')
    """
    return _NOT_IN_A_LEVEL.sub("_", text)[:LONGEST] or "_"


def as_id(text: str) -> str:
    """A name as Home Assistant allows it in ids; different names stay different.

    >>> as_id("site/north.1"), as_id("site_north-1")
    ('site_2f_north_2e_1', 'site_5f_north-1')
    """
    return _NOT_IN_AN_ID.sub(lambda found: f"_{ord(found[0]):x}_", text)


@dataclass(frozen=True)
class Topics:
    """Below ``prefix``, which is one Vision Stream's own; descriptions of cameras below ``discovery_prefix``."""

    prefix: str
    discovery_prefix: str

    @property
    def available(self) -> str:
        return f"{self.prefix}/available"

    @property
    def events(self) -> str:
        return f"{self.prefix}/events"

    @property
    def alerts(self) -> str:
        return f"{self.prefix}/alerts"

    @property
    def birth(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery_prefix}/status"

    @property
    def kept(self) -> tuple[str, ...]:
        """What to subscribe to for all that the broker keeps of ours."""
        return f"{self.prefix}/+/#", f"{self.discovery_prefix}/device/+/config"

    def count(self, camera_id: str, label: str) -> str:
        return f"{self.prefix}/{camera_id}/{label}"

    def status(self, camera_id: str) -> str:
        return f"{self.prefix}/{camera_id}/status/detect"

    def status_reason(self, camera_id: str) -> str:
        return f"{self.prefix}/{camera_id}/status/reason"

    def alert(self, camera_id: str) -> str:
        return f"{self.prefix}/{camera_id}/alert/state"

    def alert_details(self, camera_id: str) -> str:
        return f"{self.prefix}/{camera_id}/alert/details"

    def device(self, camera_id: str) -> str:
        """The camera's id at Home Assistant."""
        return f"{as_id(self.prefix)}__{as_id(camera_id)}"

    def discovery(self, camera_id: str) -> str:
        return f"{self.discovery_prefix}/device/{self.device(camera_id)}/config"

    def is_description(self, topic: str) -> bool:
        """Whether one of our cameras is described there."""
        return topic.startswith(f"{self.discovery_prefix}/device/{self.device('')}")

    def camera_of(self, topic: str) -> str | None:
        """Whose retained topic of ours it is: the camera's id, None for any other topic."""
        if not topic.startswith(f"{self.prefix}/"):
            return None
        camera_id, *rest = topic.removeprefix(f"{self.prefix}/").split("/")
        return camera_id if rest else None

    def label_of(self, topic: str) -> str | None:
        """The label that a count's topic is about; None for any other topic."""
        levels = topic.removeprefix(f"{self.prefix}/").split("/")
        return levels[1] if len(levels) == 2 and levels[1] != ALL else None
