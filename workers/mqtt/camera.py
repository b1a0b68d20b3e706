"""One camera as the broker should know it: what is kept of it, and what is news."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vision_stream.messages import RISK_ORDER, Alert, CameraStatus, DetectedObject, Detection
from vision_stream.settings import CameraSettings
from vision_stream.zones import Zones
from workers.mqtt import discovery
from workers.mqtt.outbox import Outbox
from workers.mqtt.topics import ALL, Topics, level
from workers.mqtt.tracks import EventType, TrackBook

MAX_LABELS = 200  # of a camera, each with a topic of its own; what has another counts under `all` alone
SILENT_S = 60.0  # without a word of a camera, which otherwise repeats its status every 15 s: its worker is gone
MAX_OPEN = 200  # alerts

Seen = Literal["online", "offline", "disabled"]


class AlertNews(Struct, frozen=True):
    type: EventType
    before: Alert  # as it was told before; of the first as ``after``
    after: Alert


class Camera:
    """Puts all of it into the outbox; waits for nothing. Times are seconds since the epoch."""

    def __init__(
        self, camera_id: str, topics: Topics, outbox: Outbox, *, discovered: bool, lost_after_s: float
    ) -> None:
        self.camera_id = camera_id
        self._topics = topics
        self._outbox = outbox
        self._discovered = discovered
        self._lost_after_s = lost_after_s
        self._name = ""
        self._labels: set[str] = set()  # as levels of topics
        self._tracks = TrackBook(camera_id, Zones(), lost_after_s=lost_after_s)
        self._alerts: dict[str, Alert] = {}  # open ones
        self._resolved: dict[str, None] = {}  # ids of closed ones, which may come again
        self._last_alert: Alert | None = None
        self._seen: Seen = "offline"
        self._heard_at = 0.0
        self._used: set[str] = set()  # topics that the broker keeps for us

    def configure(self, camera: CameraSettings | None) -> None:
        """Its name and zones; None: it stands in no configuration that we know."""
        self._name = camera.name if camera is not None else ""
        zones = Zones(camera.zones if camera is not None else ())
        self._news_of_tracks(self._tracks.close())
        self._tracks = TrackBook(self.camera_id, zones, lost_after_s=self._lost_after_s)
        self._describe()
        self._show("disabled" if camera is not None and not camera.enabled else self._seen)

    def adopt(self, topics: Iterable[str]) -> None:
        """What the broker still keeps of it from an earlier run: counts, which are 0 until something is seen."""
        self._used.update(topics)
        labels = {label for topic in topics if (label := self._topics.label_of(topic)) is not None}
        for label in self._learn(labels):
            self._keep(self._topics.count(self.camera_id, label), b"0")

    def detection(self, detection: Detection) -> None:
        if not self._tracks.is_news(detection):
            return
        self._news_of_tracks(self._tracks.take(detection))
        self._count(detection.objects)

    def status(self, status: CameraStatus, now: float) -> None:
        self._heard_at = max(self._heard_at, status.at)
        if status.state == "disabled":
            seen: Seen = "disabled"
        else:
            seen = "online" if status.state == "online" and not self._silent(now) else "offline"
        told = {"state": status.state, "reason": status.reason, "since": status.since}
        self._keep(self._topics.status_reason(self.camera_id), msgspec.json.encode(told))
        self._show(seen)

    def alert(self, alert: Alert, *, news: bool) -> None:
        """``news``: False for one that was told by an earlier run, and is only to be known."""
        known = self._alerts.get(alert.alert_id)
        told = known is not None and alert.updated_at <= known.updated_at and alert.state != "resolved"
        if told or alert.alert_id in self._resolved:
            return
        if alert.state == "resolved":
            self._alerts.pop(alert.alert_id, None)
            self._resolved[alert.alert_id] = None
            _keep_newest(self._resolved, MAX_OPEN)
        else:
            self._alerts[alert.alert_id] = alert
            _keep_newest(self._alerts, MAX_OPEN)
        kind: EventType = "end" if alert.state == "resolved" else "new" if known is None else "update"
        if news:
            self._outbox.tell(self._topics.alerts, msgspec.json.encode(AlertNews(kind, known or alert, alert)))
        self._last_alert = alert
        self._show_alerts()

    def look(self, now: float) -> None:
        """From time to time: a camera whose worker says nothing is not seen."""
        if self._seen == "online" and self._silent(now):
            told = {"state": "offline", "reason": "nothing heard from its capture worker", "since": self._heard_at}
            self._keep(self._topics.status_reason(self.camera_id), msgspec.json.encode(told))
            self._show("offline")

    def remove(self) -> None:
        """The broker should keep nothing of it."""
        self._news_of_tracks(self._tracks.close())
        for topic in (self._topics.discovery(self.camera_id), *sorted(self._used)):
            self._outbox.forget(topic)

    def _silent(self, now: float) -> bool:
        return now - self._heard_at > SILENT_S

    def _show(self, seen: Seen) -> None:
        self._keep(self._topics.status(self.camera_id), seen.encode())
        if seen != "online" and self._seen == "online":
            self._news_of_tracks(self._tracks.close())
            self._count(())
        self._seen = seen
        self._show_alerts()

    def _count(self, objects: Iterable[DetectedObject]) -> None:
        labels = [_level_of(found.label) for found in objects]
        counts = Counter(labels)
        self._learn(set(counts))
        for label in sorted(self._labels):
            self._keep(self._topics.count(self.camera_id, label), b"%d" % counts[label])
        self._keep(self._topics.count(self.camera_id, ALL), b"%d" % len(labels))

    def _learn(self, labels: set[str]) -> list[str]:
        """Describe the camera anew where it has labels that it had not; returns these."""
        fresh = sorted(labels - self._labels)[: MAX_LABELS - len(self._labels)]
        if fresh:
            self._labels.update(fresh)
            self._describe()
        return fresh

    def _news_of_tracks(self, events: Iterable[Any]) -> None:
        for event in events:
            self._outbox.tell(self._topics.events, msgspec.json.encode(event))

    def _show_alerts(self) -> None:
        """ON while one is open; the details are of the worst open one, else of the last."""
        worst = max(self._alerts.values(), key=lambda alert: RISK_ORDER[alert.risk_level], default=self._last_alert)
        details = {"alert": worst, "open": len(self._alerts)} if worst is not None else {"alert": None, "open": 0}
        self._keep(self._topics.alert_details(self.camera_id), msgspec.json.encode(details))
        self._keep(self._topics.alert(self.camera_id), b"ON" if self._alerts else b"OFF")

    def _describe(self) -> None:
        if self._discovered:
            described = discovery.device(self._topics, self.camera_id, self._name, self._labels)
            self._outbox.keep(self._topics.discovery(self.camera_id), described)

    def _keep(self, topic: str, payload: bytes) -> None:
        self._used.add(topic)
        self._outbox.keep(topic, payload)


def _level_of(label: str) -> str:
    """A label's level; one that is called as the count of all has another name."""
    found = level(label)
    return f"{found}_" if found == ALL else found


def _keep_newest(known: dict[str, Any], limit: int) -> None:
    while len(known) > limit:
        del known[next(iter(known))]
