"""What the broker is told, up to the outbox."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.builders import a_detection, an_object
from tests.gateway_parts import NOW, a_status, an_alert
from vision_stream.messages import CAMERA_REMOVED
from vision_stream.settings import CameraSettings, MqttSettings
from workers.mqtt.outbox import Outbox
from workers.mqtt.sink import MqttSink


class Told:
    """A sink, its clock, and what its outbox would have told a broker."""

    def __init__(self, *cameras: CameraSettings, only_these: bool = False, **settings: Any) -> None:
        self.now = NOW
        self.lost: str | None = None
        self.outbox = Outbox(max_news=1000)
        self.sink = MqttSink(
            MqttSettings.model_validate(settings),
            self.outbox,
            cameras,
            only_these=only_these,
            lost=lambda: self.lost,
            clock=lambda: self.now,
        )
        self.news: list[tuple[str, Any]] = []
        self.kept: dict[str, bytes] = {}

    async def read(self) -> dict[str, bytes]:
        """What the broker keeps now."""
        while len(self.outbox):
            for message in await self.outbox.next(100):
                self.outbox.sent(message)
                if not message.retain:
                    self.news.append((message.topic, json.loads(message.payload)))
                elif message.payload:
                    self.kept[message.topic] = message.payload
                else:
                    self.kept.pop(message.topic, None)
        return self.kept

    async def online(self, camera_id: str = "cam-01", **changes: Any) -> None:
        await self.sink.status(a_status(camera_id, **{"state": "online", "at": self.now, **changes}))


def counts(kept: dict[str, bytes], camera_id: str = "cam-01") -> dict[str, bytes]:
    prefix = f"vision-stream/{camera_id}/"
    return {t.removeprefix(prefix): p for t, p in kept.items() if t.startswith(prefix) and t.count("/") == 2}


def a_camera(camera_id: str = "cam-01", **fields: Any) -> CameraSettings:
    return CameraSettings.model_validate({"id": camera_id, "source": "sim:crossing", **fields})


async def test_counts_by_label_are_kept_and_fall_to_0_when_an_object_is_gone():
    told = Told()
    await told.online()
    await told.sink.detection(a_detection(objects=(an_object(0), an_object(1), an_object(2, "traffic light"))))
    assert counts(await told.read()) == {"all": b"3", "car": b"2", "traffic_light": b"1"}

    await told.sink.detection(a_detection(sequence=2, objects=(an_object(0),)))
    assert counts(await told.read()) == {"all": b"1", "car": b"1", "traffic_light": b"0"}


async def test_a_detection_that_comes_again_changes_nothing():
    told = Told()
    await told.sink.detection(a_detection(sequence=2, objects=(an_object(0),)))
    await told.sink.detection(a_detection(sequence=1, objects=(an_object(0), an_object(1))))
    assert counts(await told.read())["all"] == b"1"


@pytest.mark.parametrize(
    ("state", "shown"),
    [("online", b"online"), ("reconnecting", b"offline"), ("stalled", b"offline"), ("disabled", b"disabled")],
)
async def test_a_cameras_status_is_shown_as_frigate_shows_it_with_the_reason_beside(state: str, shown: bytes):
    told = Told()
    await told.online(state=state, reason="401: wrong password", since=NOW - 9)
    kept = await told.read()
    assert kept["vision-stream/cam-01/status/detect"] == shown
    assert json.loads(kept["vision-stream/cam-01/status/reason"]) == {
        "state": state,
        "reason": "401: wrong password",
        "since": NOW - 9,
    }


async def test_a_camera_that_is_lost_counts_nothing_and_its_objects_events_end():
    told = Told()
    await told.online()
    await told.sink.detection(a_detection(objects=(an_object(0),)))
    await told.online(state="reconnecting", at=NOW + 1)
    assert counts(await told.read()) == {"all": b"0", "car": b"0"}
    assert [(topic, news["type"]) for topic, news in told.news] == [
        ("vision-stream/events", "new"),
        ("vision-stream/events", "end"),
    ]


async def test_a_camera_whose_worker_says_nothing_for_a_minute_is_offline_until_it_speaks():
    told = Told()
    await told.online()
    told.now += 61
    told.sink.look()
    kept = await told.read()
    assert kept["vision-stream/cam-01/status/detect"] == b"offline"
    assert b"nothing heard" in kept["vision-stream/cam-01/status/reason"]

    await told.online()
    assert (await told.read())["vision-stream/cam-01/status/detect"] == b"online"


async def test_an_old_word_of_a_camera_that_was_read_again_does_not_make_it_online():
    told = Told()
    await told.online(at=NOW - 3600)
    assert (await told.read())["vision-stream/cam-01/status/detect"] == b"offline"


async def test_alerts_are_news_once_each_and_their_camera_is_in_danger_while_one_is_open():
    told = Told()
    await told.online()
    opened = an_alert(updated_at=NOW + 1)
    for _ in range(2):  # as Kafka may deliver it
        await told.sink.assessment(opened)
    assert (await told.read())["vision-stream/cam-01/alert/state"] == b"ON"

    await told.sink.assessment(an_alert(state="continued", updated_at=NOW + 2))
    closed = an_alert(state="resolved", updated_at=NOW + 2, resolved_at=NOW + 2)
    await told.sink.assessment(closed)
    await told.sink.assessment(closed)
    kept = await told.read()

    assert kept["vision-stream/cam-01/alert/state"] == b"OFF"
    assert [(topic, news["type"]) for topic, news in told.news] == [
        ("vision-stream/alerts", "new"),
        ("vision-stream/alerts", "update"),
        ("vision-stream/alerts", "end"),
    ]
    assert told.news[1][1]["before"]["state"] == "opened"
    assert json.loads(kept["vision-stream/cam-01/alert/details"])["open"] == 0


async def test_the_details_are_of_the_worst_open_alert():
    told = Told()
    await told.sink.assessment(an_alert(alert_id="low", risk_level="low", updated_at=NOW))
    await told.sink.assessment(an_alert(alert_id="high", risk_level="high", updated_at=NOW))
    await told.sink.assessment(an_alert(alert_id="low", risk_level="low", state="continued", updated_at=NOW + 1))
    details = json.loads((await told.read())["vision-stream/cam-01/alert/details"])
    assert (details["alert"]["alert_id"], details["open"]) == ("high", 2)


async def test_an_alert_from_before_the_start_is_known_and_not_told_as_news():
    told = Told()
    await told.online()
    await told.sink.assessment(an_alert(updated_at=NOW - 60))
    assert (await told.read())["vision-stream/cam-01/alert/state"] == b"ON"
    assert told.news == []


async def test_home_assistant_is_told_of_a_camera_once_and_again_when_it_has_a_new_label():
    told = Told(a_camera(name="North crossing"))
    await told.online()
    topic = "homeassistant/device/vision-stream__cam-01/config"
    first = json.loads((await told.read())[topic])
    assert first["device"]["name"] == "North crossing"
    assert {key: entity["platform"] for key, entity in first["components"].items()} == {
        "alert": "binary_sensor",
        "status": "binary_sensor",
        "count_all": "sensor",
    }

    await told.sink.detection(a_detection(objects=(an_object(0),)))
    second = json.loads((await told.read())[topic])
    assert second["components"]["count_car"]["state_topic"] == "vision-stream/cam-01/car"
    ids = [entity["unique_id"] for entity in second["components"].values()]
    assert len(set(ids)) == len(ids) == 4


async def test_every_topic_that_home_assistant_is_sent_to_is_one_that_is_kept():
    told = Told()
    await told.online()
    await told.sink.detection(a_detection(objects=(an_object(0),)))
    kept = await told.read()
    described = json.loads(kept["homeassistant/device/vision-stream__cam-01/config"])
    for entity in described["components"].values():
        topics = {
            entity["state_topic"],
            entity.get("json_attributes_topic"),
            *(a["topic"] for a in entity["availability"]),
        }
        assert topics - {None} <= set(kept)


async def test_without_discovery_home_assistant_is_told_nothing():
    told = Told(discovery=False)
    await told.online()
    assert not [topic for topic in await told.read() if topic.startswith("homeassistant")]


async def test_of_a_camera_that_was_removed_nothing_is_kept_also_where_a_late_detection_follows():
    told = Told()
    await told.online()
    await told.sink.detection(a_detection(objects=(an_object(0),)))
    await told.sink.assessment(an_alert(updated_at=NOW))
    await told.read()

    await told.sink.status(a_status(state="disabled", reason=CAMERA_REMOVED, at=NOW + 1))
    await told.sink.detection(a_detection(sequence=2, objects=(an_object(0),)))
    assert set(await told.read()) == {"vision-stream/available"}

    await told.online(at=NOW + 2)
    assert "vision-stream/cam-01/status/detect" in await told.read()


async def test_a_camera_that_nobody_captures_stays_until_it_is_gone_from_the_configuration_too():
    told = Told(a_camera())
    await told.online()
    await told.sink.status(a_status(state="disabled", reason=CAMERA_REMOVED, at=NOW + 1))
    assert (await told.read())["vision-stream/cam-01/status/detect"] == b"disabled"

    told.sink.configure([a_camera("cam-02")])
    assert not [topic for topic in await told.read() if "cam-01" in topic]


async def test_a_camera_that_was_never_enabled_goes_with_its_line():
    told = Told(a_camera(enabled=False), only_these=True)
    await told.read()
    told.sink.configure([])
    assert not [topic for topic in await told.read() if "cam-01" in topic]


async def test_a_camera_that_is_captured_again_is_not_removed_with_its_line():
    told = Told(a_camera())
    await told.sink.status(a_status(state="disabled", reason=CAMERA_REMOVED, at=NOW))
    await told.online(at=NOW + 1)
    told.sink.configure([])  # of this host; another one has it
    assert (await told.read())["vision-stream/cam-01/status/detect"] == b"online"


async def test_what_the_broker_still_keeps_of_a_camera_from_an_earlier_run_is_corrected():
    told = Told()
    told.sink.kept("vision-stream/cam-01/truck")
    await told.online()
    assert counts(await told.read()) == {"truck": b"0"}

    await told.sink.status(a_status(state="disabled", reason=CAMERA_REMOVED, at=NOW + 1))
    told.sink.kept("vision-stream/cam-01/bus")
    told.kept["vision-stream/cam-01/bus"] = b"1"
    assert set(await told.read()) == {"vision-stream/available"}


async def test_in_one_process_what_is_kept_of_cameras_that_are_gone_from_the_configuration_goes():
    told = Told(a_camera(), only_these=True)
    gone = ("vision-stream/old/car", "homeassistant/device/vision-stream__old/config")
    told.kept = dict.fromkeys((*gone, "homeassistant/device/another/config", "vision-stream/cam-01/car"), b"1")
    for topic in told.kept:
        told.sink.kept(topic)
    kept = await told.read()
    assert not set(gone) & set(kept)
    assert kept["homeassistant/device/another/config"] == b"1"
    assert kept["vision-stream/cam-01/car"] == b"0"


async def test_a_camera_that_is_not_enabled_is_shown_as_that():
    told = Told(a_camera(enabled=False), only_these=True)
    assert (await told.read())["vision-stream/cam-01/status/detect"] == b"disabled"


async def test_a_camera_that_is_renamed_is_described_anew():
    told = Told(a_camera(name="old"))
    await told.online()
    told.sink.configure([a_camera(name="new")])
    described = json.loads((await told.read())["homeassistant/device/vision-stream__cam-01/config"])
    assert described["device"]["name"] == "new"


async def test_while_nothing_is_heard_of_the_pipeline_we_are_not_available():
    told = Told()
    assert (await told.read())["vision-stream/available"] == b"online"
    told.lost = "Kafka is away"
    told.sink.look()
    assert (await told.read())["vision-stream/available"] == b"offline"


async def test_the_prefixes_are_the_configurations():
    told = Told(prefix="site/north", discovery_prefix="ha")
    await told.online()
    assert {topic.rsplit("/", 2)[0] for topic in await told.read()} == {
        "site",
        "site/north/cam-01",
        "ha/device",
    }


async def test_what_a_broker_keeps_that_is_none_of_ours_is_passed_over():
    told = Told(only_these=True)
    before = set(await told.read())
    for topic in (
        "vision-stream/available",
        "other/cam/car",
        "homeassistant/device/x/config",
        "",
        "/",
        "vision-stream",
    ):
        told.sink.kept(topic)
    assert set(await told.read()) == before
