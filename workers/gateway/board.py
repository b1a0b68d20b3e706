"""The newest that is known of each camera, and what has been seen of it: bounded, and without a clock.

Kafka delivers again what it is not sure to have delivered; ``take_*`` answers None for what the board has already.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from vision_stream.messages import Alert, CameraAssessment, CameraMessage, CameraStatus, Detection, Word
from vision_stream.stores.cache import recorded
from workers.gateway.protocol import Push, alert_push, assessment_push, detection_push, status_push

MAX_CAMERAS = 5000  # the one that was silent longest goes
ALERTS_KEPT = 100  # of one camera, as in the cache
REQUESTS_SEEN = 256  # of one camera; at a cooldown of 2 s more than 8 minutes
ALERT_STATES_SEEN = 64  # of one camera; what comes again does so within seconds
RATE_OVER = 20  # detections
SESSIONS_SEEN = 4  # of capture workers of one camera that came one after the other


class Seen:
    """A bounded memory of keys: the oldest is forgotten."""

    def __init__(self, limit: int) -> None:
        self._keys: OrderedDict[object, None] = OrderedDict()
        self._limit = limit

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def add(self, key: object) -> bool:
        """Remember ``key``; False if it was known."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return True


class CameraView:
    """One camera as a browser should see it."""

    def __init__(self, camera_id: str) -> None:
        self.camera_id = camera_id
        self.detection: Detection | None = None
        self.assessment: CameraAssessment | None = None
        self.status: CameraStatus | None = None
        self.alerts: list[Alert] = []  # newest opened first
        self.pushes: dict[tuple[str, str], Push] = {}  # the newest of each slot but alerts
        self._captured: deque[float] = deque(maxlen=RATE_OVER)
        self._sequences: OrderedDict[Word, int] = OrderedDict()  # the last of each capture session
        self._requests = Seen(REQUESTS_SEEN)
        self._alert_states = Seen(ALERT_STATES_SEEN)

    @property
    def fps(self) -> float:
        """Detections a second over the last few; 0 until there are two."""
        if len(self._captured) < 2 or self._captured[-1] <= self._captured[0]:
            return 0.0
        return (len(self._captured) - 1) / (self._captured[-1] - self._captured[0])

    def take_detection(self, detection: Detection) -> Push | None:
        last = self._sequences.get(detection.session)
        if last is not None and detection.sequence <= last:
            return None
        self._sequences[detection.session] = detection.sequence
        self._sequences.move_to_end(detection.session)
        if len(self._sequences) > SESSIONS_SEEN:
            self._sequences.popitem(last=False)
        if last is None:
            self._captured.clear()  # a new run of the capture worker: its rate is its own
        self._captured.append(detection.times.captured_at)
        self.detection = detection
        return self._keep(detection_push(detection))

    def take_assessment(self, assessment: CameraAssessment) -> Push | None:
        """One push a request; a partial one does not follow the complete one, and the newest frame stays the latest."""
        complete = (assessment.request_id, True)
        if complete in self._requests or not self._requests.add((assessment.request_id, assessment.complete)):
            return None
        push = assessment_push(assessment)
        if self.assessment is None or assessment.times.captured_at >= self.assessment.times.captured_at:
            self.assessment = assessment
            self._keep(push)
        return push

    def take_alert(self, alert: Alert) -> Push | None:
        if not self._alert_states.add((alert.alert_id, alert.state, alert.updated_at)):
            return None
        self.alerts = recorded(self.alerts, alert, ALERTS_KEPT)
        return alert_push(alert)

    def take_status(self, status: CameraStatus) -> Push | None:
        if self.status is not None and status.at <= self.status.at:
            return None
        self.status = status
        return self._keep(status_push(status))

    def known(self) -> list[Push]:
        """What a browser that subscribes now is sent first; of the alerts those that are not over."""
        open_alerts = [alert_push(alert).untraced() for alert in reversed(self.alerts) if alert.state != "resolved"]
        return [*self.pushes.values(), *open_alerts]

    def _keep(self, push: Push) -> Push:
        self.pushes[push.slot] = push.untraced()
        return push


class Board:
    def __init__(self, *, max_cameras: int = MAX_CAMERAS) -> None:
        self._views: OrderedDict[str, CameraView] = OrderedDict()  # the camera heard of last at the end
        self._max_cameras = max_cameras

    def __len__(self) -> int:
        return len(self._views)

    def get(self, camera_id: str) -> CameraView | None:
        return self._views.get(camera_id)

    def views(self) -> list[CameraView]:
        return sorted(self._views.values(), key=lambda view: view.camera_id)

    def detection(self, detection: Detection) -> Push | None:
        return self._view(detection.camera_id).take_detection(detection)

    def status(self, status: CameraStatus) -> Push | None:
        return self._view(status.camera_id).take_status(status)

    def assessment(self, message: CameraMessage) -> Push | None:
        view = self._view(message.camera_id)
        return view.take_alert(message) if isinstance(message, Alert) else view.take_assessment(message)

    def _view(self, camera_id: str) -> CameraView:
        view = self._views.get(camera_id)
        if view is None:
            view = self._views[camera_id] = CameraView(camera_id)
            if len(self._views) > self._max_cameras:
                self._views.popitem(last=False)
        self._views.move_to_end(camera_id)
        return view
