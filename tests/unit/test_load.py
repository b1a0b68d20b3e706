"""The simulated load: how much, when, and the same again for the same seed."""

from __future__ import annotations

import asyncio

from vision_stream.messages import Detection, InlineEvidence, decode, encode
from vision_stream.simulators.load import Load, a_detection, schedule
from vision_stream.simulators.load_run import publish


class Topic:
    """Confirms every delivery at once."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []

    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future:
        self.records.append((topic, key, value))
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


def test_every_camera_sends_at_its_rate_evenly_spread():
    due = list(schedule(Load(cameras=2, fps=2.0, seconds=1.0)))
    assert due == [(0.0, 0, 1), (0.25, 1, 1), (0.5, 0, 2), (0.75, 1, 2)]


def test_a_detection_is_the_same_for_the_same_seed_and_survives_the_wire():
    load = Load(cameras=3, fps=1.0, seconds=1.0, groups=3, seed=7)
    detection = a_detection(load, 1, 4, now=100.0, picture=InlineEvidence(jpeg=b"jpeg"))
    assert detection == a_detection(load, 1, 4, now=100.0, picture=InlineEvidence(jpeg=b"jpeg"))
    assert decode(encode(detection), Detection) == detection
    assert detection.detection_id == "load-0002:load:4"
    assert [group.index for group in detection.groups] == [0, 1, 2]
    assert sum(len(group.members) for group in detection.groups) == len(detection.objects)


def test_no_track_comes_twice_so_that_gating_sees_new_groups():
    load = Load(cameras=1, fps=1.0, seconds=1.0)
    tracks = [o.track_id for n in range(1, 50) for o in a_detection(load, 0, n, now=0.0).objects]
    assert len(tracks) == len(set(tracks))


async def test_the_whole_load_is_sent_keyed_by_camera_and_counted():
    load, topic = Load(cameras=4, fps=50.0, seconds=0.1, groups=1), Topic()
    report = await publish(load, topic, "detection-results", [b"a", b"b"])
    assert report["detections"] == len(topic.records) == load.detections == 20
    assert {name for name, _, _ in topic.records} == {"detection-results"}
    assert {key for _, key, _ in topic.records} == {b"load-0001", b"load-0002", b"load-0003", b"load-0004"}
