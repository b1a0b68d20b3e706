import cv2
import numpy as np
import pytest

from tests.builders import a_group
from tests.films import picture
from vision_stream.messages import Box, InlineEvidence, NoEvidence, StoredEvidence
from vision_stream.stores.evidence import MemoryEvidence
from workers.capture.evidence import MESSAGE_BYTES, PICTURE_BYTES, EvidenceKeeper, picture_limit
from workers.capture.pictures import LONGEST_SIDE, encode_within, frame_jpeg, frame_picture, group_picture


def noise(width: int, height: int) -> np.ndarray:
    """The worst picture for a JPEG."""
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def decoded(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_a_groups_picture_shows_the_group_and_what_stands_around_it():
    frame = picture(("car", 100, 100, 140, 130))
    cut = group_picture(frame, Box(100, 100, 140, 130))
    assert cut.shape[0] > 30
    assert cut.shape[1] > 40
    assert (cut == (0, 0, 255)).all(axis=2).sum() == 40 * 30


@pytest.mark.parametrize("box", [Box(0, 0, 10, 10), Box(310, 230, 320, 240), Box(0, 0, 320, 240), Box(5, 5, 5, 5)])
def test_a_group_at_the_edge_has_a_picture_within_the_frame(box: Box):
    cut = group_picture(picture(), box)
    assert 0 < cut.shape[0] <= 240
    assert 0 < cut.shape[1] <= 320


def test_a_large_group_is_scaled_to_the_longest_side():
    cut = group_picture(picture(width=3840, height=2160), Box(0, 0, 3000, 1500))
    assert max(cut.shape[:2]) == LONGEST_SIDE


def test_the_dashboards_frame_is_640_wide_and_a_small_one_is_left_as_it_is():
    large, small = picture(width=1920, height=1080), picture(width=320, height=240)
    assert decoded(frame_jpeg(frame_picture(large))).shape == (360, 640, 3)
    assert decoded(frame_jpeg(frame_picture(small))).shape == (240, 320, 3)


def test_quality_goes_down_until_the_picture_is_small_enough():
    best = encode_within(noise(300, 300), 10**9)
    smaller = encode_within(noise(300, 300), 50_000)
    assert best is not None
    assert smaller is not None
    assert len(smaller) <= 50_000 < len(best)


def test_a_picture_that_cannot_be_small_enough_is_none():
    assert encode_within(noise(300, 300), 1000) is None


async def test_evidence_lies_in_the_store_when_the_group_names_it():
    store = MemoryEvidence()
    (group,) = await EvidenceKeeper(store, ttl_s=300).keep("cam-01:s:7", [a_group(2)], [b"jpeg"], now=1000.0)
    assert group.evidence == StoredEvidence(key="cam-01:s:7/2", expires_at=1300.0)
    assert await store.get("cam-01:s:7/2") == b"jpeg"


async def test_without_a_store_that_others_can_see_the_picture_travels_along():
    (group,) = await EvidenceKeeper(None, ttl_s=300).keep("r", [a_group()], [b"jpeg"], now=1000.0)
    assert group.evidence == InlineEvidence(jpeg=b"jpeg")


async def test_where_the_store_is_away_the_picture_travels_along():
    full = MemoryEvidence(max_bytes=1)
    (group,) = await EvidenceKeeper(full, ttl_s=300).keep("r", [a_group()], [b"jpeg"], now=1000.0)
    assert group.evidence == InlineEvidence(jpeg=b"jpeg")


async def test_a_message_holds_no_more_pictures_than_kafka_takes():
    groups = [a_group(index) for index in range(5)]
    kept = await EvidenceKeeper(None, ttl_s=300).keep("r", groups, [bytes(PICTURE_BYTES)] * 5, now=1000.0)
    inline = [group.evidence for group in kept if isinstance(group.evidence, InlineEvidence)]
    assert sum(len(evidence.jpeg) for evidence in inline) <= MESSAGE_BYTES
    assert isinstance(kept[-1].evidence, NoEvidence)


async def test_a_group_without_a_picture_says_why():
    store, why = MemoryEvidence(), NoEvidence(reason="the picture is too large")
    (group,) = await EvidenceKeeper(store, ttl_s=300).keep("r", [a_group()], [why], now=1000.0)
    assert group.evidence == why
    assert await store.get("r/0") is None


@pytest.mark.parametrize("groups", [0, 1, 3, 10, 200])
def test_inline_pictures_share_the_room_of_a_message(groups: int):
    assert picture_limit(groups, inline=True) * max(1, groups) <= MESSAGE_BYTES or groups < 3
    assert picture_limit(groups, inline=False) == PICTURE_BYTES
