"""The MQTT sink against a real mosquitto: what a home automation would see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest
import trustme
import yaml
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from tests.builders import a_detection, an_object
from tests.gateway_parts import a_status, an_alert
from tests.mqtt_broker import Listener, MqttBroker, listening
from tests.waiting import eventually
from vision_stream import metrics, topics
from vision_stream.messages import CAMERA_REMOVED, encode
from vision_stream.settings import MqttSettings
from workers.mqtt.link import IN_FLIGHT, MqttLink
from workers.mqtt.outbox import Outbox
from workers.mqtt.sink import MqttSink

pytestmark = pytest.mark.mqtt
PASSWORD = "canary-mqtt-password"
AVAILABLE = "vision-stream/available"
CONFIG = "homeassistant/device/vision-stream__cam-01/config"


@pytest.fixture
def broker(tmp_path) -> Any:
    broker = MqttBroker(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@asynccontextmanager
async def telling(settings: MqttSettings, *, max_news: int = 1000) -> AsyncIterator[SimpleNamespace]:
    outbox = Outbox(max_news=max_news)
    sink = MqttSink(settings, outbox)
    link = MqttLink(settings, outbox, sink.kept, find_kept_s=0.5, first_retry_s=0.05)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(link.run())
        try:
            yield SimpleNamespace(sink=sink, link=link, outbox=outbox, task=task)
        finally:
            task.cancel()


async def online(sink: MqttSink, camera_id: str = "cam-01") -> None:
    await sink.status(a_status(camera_id, state="online", at=time.time()))


def seen(*labels: str, sequence: int = 1) -> Any:
    found = tuple(an_object(number, label) for number, label in enumerate(labels))
    return a_detection(sequence=sequence, captured_at=time.time(), objects=found)


async def test_counts_events_alerts_and_states_reach_a_home_automation(broker: MqttBroker):
    async with listening(broker.port) as home, telling(broker.settings()) as ours:
        await online(ours.sink)
        await ours.sink.detection(seen("car", "car", "person"))
        await ours.sink.assessment(an_alert(updated_at=time.time()))

        await eventually(lambda: home.text(AVAILABLE) == "online" and len(home.values("vision-stream/events")) == 3)
        assert home.text("vision-stream/cam-01/car") == "2"
        assert home.text("vision-stream/cam-01/all") == "3"
        assert home.text("vision-stream/cam-01/status/detect") == "online"
        await eventually(lambda: home.text("vision-stream/cam-01/alert/state") == "ON")
        assert {event["type"] for event in home.values("vision-stream/events")} == {"new"}
        assert home.values("vision-stream/alerts")[0]["after"]["alert_id"] == "a-1"
        assert "count_person" in json.loads(home.text(CONFIG) or "")["components"]


async def test_who_listens_later_knows_the_states_and_no_old_events(broker: MqttBroker):
    async with telling(broker.settings()) as ours:
        await online(ours.sink)
        await ours.sink.detection(seen("car"))
        await eventually(lambda: len(ours.outbox) == 0)

        async with listening(broker.port) as home:
            await eventually(lambda: home.text("vision-stream/cam-01/car") == "1" and home.text(AVAILABLE) == "online")
            assert home.text(CONFIG)
            assert "vision-stream/events" not in home.all


async def test_the_broker_says_that_we_are_gone_where_we_ended_in_order_and_where_we_were_killed(broker: MqttBroker):
    async with listening(broker.port) as home:
        async with telling(broker.settings()):
            await eventually(lambda: home.text(AVAILABLE) == "online")
        assert await eventually(lambda: home.text(AVAILABLE) == "offline")

        process = await _other_process(broker.port)
        try:
            await eventually(lambda: home.text(AVAILABLE) == "online", within_s=20)
            process.kill()  # the will
            await eventually(lambda: home.text(AVAILABLE) == "offline")
        finally:
            await process.wait()


async def _other_process(port: int) -> asyncio.subprocess.Process:
    program = f"""
import asyncio
from vision_stream.settings import MqttSettings
from workers.mqtt.link import MqttLink
from workers.mqtt.outbox import Outbox
from workers.mqtt.sink import MqttSink
async def main():
    settings, outbox = MqttSettings(host="127.0.0.1", port={port}), Outbox(max_news=10)
    await MqttLink(settings, outbox, MqttSink(settings, outbox).kept).run()
asyncio.run(main())
"""
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, env={**os.environ, "PYTHONPATH": "."})


async def test_a_broker_that_restarts_without_memory_is_told_everything_again_and_what_was_missed(broker: MqttBroker):
    with capture_logs() as logs:
        async with telling(broker.settings()) as ours:
            await online(ours.sink)
            await ours.sink.detection(seen("car"))
            await eventually(lambda: len(ours.outbox) == 0)

            broker.stop()
            await eventually(lambda: ours.link.lost is not None)
            await ours.sink.detection(seen("car", "person", sequence=2))
            broker.start()

            async with listening(broker.port) as home:
                await eventually(lambda: home.text("vision-stream/cam-01/person") == "1", within_s=10)
                await eventually(lambda: home.text(AVAILABLE) == "online")
                assert home.text(CONFIG)
            await eventually(lambda: len(ours.outbox) == 0)

    said = [line["event"] for line in logs]
    assert said.count("MQTT broker is away, waiting for it") == 1
    assert said.count("MQTT broker is back") == 1


async def test_a_broker_that_does_not_answer_holds_nobody_up_and_the_newest_news_wait_for_it(broker: MqttBroker):
    dropped = metrics.mqtt_dropped._value.get()
    async with listening(broker.port) as home, telling(broker.settings(), max_news=5) as ours:
        await eventually(lambda: home.text(AVAILABLE) == "online" and len(ours.outbox) == 0)
        broker.signal(signal.SIGSTOP)
        for n in range(1, 200):
            await ours.sink.detection(seen(*["car"] * n, sequence=n))
        assert metrics.mqtt_dropped._value.get() == dropped + 199 - 5

        broker.signal(signal.SIGCONT)
        await eventually(lambda: _told(home)[-1:] == ["cam-01-s1-198"], within_s=10)
        assert len(_told(home)) <= 5 + IN_FLIGHT


def _told(home: Listener) -> list[str]:
    return [event["after"]["id"] for event in home.values("vision-stream/events")]


async def test_a_frozen_broker_is_noticed_and_told_again_when_it_thaws(broker: MqttBroker, monkeypatch):
    monkeypatch.setattr("workers.mqtt.link.REQUEST_S", 0.5)
    async with telling(broker.settings()) as ours:
        await eventually(lambda: ours.link.lost is None)
        broker.signal(signal.SIGSTOP)
        await ours.sink.detection(seen("car"))
        await eventually(lambda: ours.link.lost is not None, within_s=10)
        broker.signal(signal.SIGCONT)
        async with listening(broker.port) as home:
            await eventually(lambda: home.text("vision-stream/cam-01/car") == "1", within_s=10)


async def test_a_frozen_broker_does_not_keep_us_from_our_end(broker: MqttBroker):
    async with telling(broker.settings()) as ours:
        await eventually(lambda: ours.link.lost is None and len(ours.outbox) == 0)
        broker.signal(signal.SIGSTOP)
        ours.task.cancel()
        await asyncio.wait([ours.task], timeout=5)  # less than the 10 s of a request
        assert ours.task.done()
        broker.signal(signal.SIGCONT)


@pytest.mark.parametrize("call", ["__aenter__", "subscribe"])
async def test_it_ends_also_where_the_client_swallows_that_it_is_told_to(broker: MqttBroker, monkeypatch, call: str):
    original = getattr(aiomqtt.Client, call)

    async def swallowing(client: aiomqtt.Client, *args: Any) -> Any:
        """What ``wait_for`` in the client does under Python 3.11 where both come in the same moment."""
        answer = await original(client, *args)
        monkeypatch.undo()  # once
        ours.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return answer

    monkeypatch.setattr(aiomqtt.Client, call, swallowing)
    async with telling(broker.settings()) as ours:
        await asyncio.wait([ours.task], timeout=5)
        assert ours.task.cancelled()


async def test_home_assistant_that_starts_again_is_told_everything_again(broker: MqttBroker):
    async with listening(broker.port) as home, telling(broker.settings()) as ours:
        await online(ours.sink)
        await eventually(lambda: home.text(AVAILABLE) == "online" and len(ours.outbox) == 0)
        await eventually(lambda: len(home.all[CONFIG]) == 1)

        await home.client.publish("homeassistant/status", "online", qos=1)
        await eventually(lambda: len(home.all[CONFIG]) == 2)
        await home.client.publish("homeassistant/status", "offline", qos=1)
        await home.client.publish("homeassistant/status", "online", qos=1)
        await eventually(lambda: len(home.all[CONFIG]) == 3)


async def test_of_a_camera_that_was_removed_the_broker_keeps_nothing_also_from_an_earlier_run(broker: MqttBroker):
    async with telling(broker.settings()) as ours:
        await online(ours.sink)
        await ours.sink.detection(seen("truck"))
        await eventually(lambda: len(ours.outbox) == 0)

    async with telling(broker.settings()) as ours:  # which has never heard of trucks
        await ours.sink.status(a_status(state="disabled", reason=CAMERA_REMOVED, at=time.time()))

        async def forgotten() -> bool:
            async with listening(broker.port) as home:
                await eventually(lambda: AVAILABLE in home.all)
                await asyncio.sleep(0)
                return set(home.all) == {AVAILABLE}

        await eventually(forgotten, within_s=10)


async def test_a_wrong_password_is_said_without_it_and_the_right_one_gets_in(tmp_path):
    broker = MqttBroker(tmp_path, user="vs", password=PASSWORD)
    broker.start()
    try:
        with capture_logs() as logs:
            wrong = broker.settings(username="vs", password=f"not-{PASSWORD}")
            async with telling(wrong) as ours:
                await eventually(lambda: "authori" in (ours.link.lost or "").lower())
        assert PASSWORD not in repr(logs) + repr(wrong) + str(ours.link.lost)

        right = broker.settings(username="vs", password=PASSWORD)
        async with telling(right), listening(broker.port, user="vs", password=PASSWORD) as home:
            await eventually(lambda: home.text(AVAILABLE) == "online")
    finally:
        broker.stop()


@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")  # paho leaves it to gc
async def test_under_tls_the_brokers_certificate_is_checked(tmp_path):
    certificates = _certificates(tmp_path)
    broker = MqttBroker(tmp_path, certificates=certificates)
    broker.start()
    try:
        async with telling(broker.settings(tls=True)) as ours:
            await eventually(lambda: "certificate verify failed" in (ours.link.lost or ""))
        async with telling(broker.settings(tls=True, ca_file=str(tmp_path / "absent.pem"))) as ours:
            await eventually(lambda: "mqtt's certificates" in (ours.link.lost or ""))
        async with (
            telling(broker.settings(tls=True, ca_file=certificates.ca)),
            listening(broker.port, ca=certificates.ca) as home,
        ):
            await eventually(lambda: home.text(AVAILABLE) == "online")
    finally:
        broker.stop()


def _certificates(directory: Path) -> SimpleNamespace:
    ca = trustme.CA()
    server = ca.issue_cert("127.0.0.1")
    names = SimpleNamespace(**{name: str(directory / f"{name}.pem") for name in ("ca", "server", "server_key")})
    ca.cert_pem.write_to_path(names.ca)
    server.private_key_pem.write_to_path(names.server_key)
    server.cert_chain_pems[0].write_to_path(names.server)
    return names


# --- the two ways to run it --------------------------------------------------------------------------------------


def _environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALGO_")}
    return kept | {f"ALGO_{name}": value for name, value in settings.items()} | {"PYTHONPATH": os.getcwd()}


@asynccontextmanager
async def a_process(cwd: Path, *args: str, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    argv = (sys.executable, "-c", "from vision_stream.cli import main; main()", *args)
    with (cwd / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=cwd, env=_environment(**settings), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_run_tells_the_broker_of_its_cameras_and_takes_back_those_that_are_removed(tmp_path, broker: MqttBroker):
    config = tmp_path / "config"
    config.mkdir()
    both = [{"id": name, "source": "sim:crossing", "fps": 2, "name": name.title()} for name in ("north", "south")]

    def write(cameras: list[dict[str, Any]]) -> None:
        (config / "cameras.yaml").write_text(yaml.safe_dump({"cameras": cameras}))

    write(both)
    settings = {"MQTT_ENABLED": "true", "MQTT_PORT": str(broker.port), "GATEWAY_PORT": "0", "DATA_DIR": str(tmp_path)}
    async with listening(broker.port) as home, a_process(tmp_path, "run", **settings) as process:
        await eventually(lambda: _all_seen(home, "north", "south"), within_s=60)
        device = "homeassistant/device/vision-stream__south/config"
        assert json.loads(home.text(device) or "")["device"]["name"] == "South"

        write(both[:1])
        await eventually(lambda: home.text(device) == "" and home.text("vision-stream/south/all") == "", within_s=20)

        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await eventually(lambda: home.text(AVAILABLE) == "offline")


def _all_seen(home: Listener, *cameras: str) -> bool:
    events = {event["after"]["camera"] for event in home.values("vision-stream/events")}
    return events == set(cameras) and all(int(home.text(f"vision-stream/{each}/all") or 0) > 0 for each in cameras)


async def test_the_mqtt_process_tells_the_broker_what_is_on_kafka(tmp_path, broker: MqttBroker, kafka_settings):
    made = kafka_settings(partitions=2)
    await topics.ensure(made, wait_s=20)
    names = made.kafka.topics
    settings = {
        "ENABLE_KAFKA_STREAMING": "true",
        "ENABLE_REDIS": "false",
        "KAFKA_BOOTSTRAP_SERVERS": ",".join(made.kafka.bootstrap_servers),
        "MQTT_PORT": str(broker.port),
        "MONITORING_PROMETHEUS_PORT": "0",
        **{f"KAFKA_TOPICS_{field.upper()}_NAME": getattr(names, field).name for field in type(names).model_fields},
        **{f"KAFKA_TOPICS_{field.upper()}_PARTITIONS": "2" for field in type(names).model_fields},
    }
    producer = AIOKafkaProducer(bootstrap_servers=",".join(made.kafka.bootstrap_servers))
    async with listening(broker.port) as home, a_process(tmp_path, "mqtt", **settings) as process:
        await producer.start()
        try:
            await eventually(lambda: home.text(AVAILABLE) == "offline", within_s=30)  # not before Kafka is read
            await eventually(lambda: home.text(AVAILABLE) == "online", within_s=30)
            key = b"cam-01"
            status = a_status(state="online", at=time.time())
            await producer.send_and_wait(names.camera_status.name, encode(status), key)
            await producer.send_and_wait(names.detection_results.name, encode(seen("car")), key)
            alert = an_alert(updated_at=time.time())
            await producer.send_and_wait(names.camera_assessments.name, encode(alert), key)

            await eventually(lambda: home.text("vision-stream/cam-01/car") == "1", within_s=10)
            await eventually(lambda: home.text("vision-stream/cam-01/alert/state") == "ON")
            assert home.text("vision-stream/cam-01/status/detect") == "online"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
            await eventually(lambda: home.text(AVAILABLE) == "offline")
        finally:
            await producer.stop()


async def test_the_mqtt_process_without_kafka_says_what_to_do(tmp_path):
    async with a_process(tmp_path, "mqtt", ENABLE_KAFKA_STREAMING="false") as process:
        assert await asyncio.wait_for(process.wait(), 20) == 2
    assert "vision-stream run" in (tmp_path / "log").read_text()
