"""A group is the same group while its members move, join and leave."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.builders import a_group, an_object
from tests.films import two_cars_driving
from vision_stream.group_identity import FORGET_AFTER_S, Identities, identify
from vision_stream.messages import DetectedObject, Group
from vision_stream.settings import ClusteringSettings
from workers.capture.eyes import Eyes
from workers.capture.sources.base import Frame


def of(*tracks: int, x: float = 100, **fields) -> Group:
    """A group of these tracks, side by side from ``x`` on."""
    return a_group(0, *(an_object(track, x=x + 50 * place) for place, track in enumerate(tracks)), **fields)


def untracked(x: float = 100) -> Group:
    return of(1, 2, x=x, track_ids=())


class Camera:
    """Frames one second apart."""

    def __init__(self) -> None:
        self.identities = Identities()
        self.now = 1000.0

    def sees(self, *groups: Group, after_s: float = 1.0) -> tuple[int | None, ...]:
        self.now += after_s
        self.identities, named = identify(self.identities, groups, self.now)
        return tuple(group.group_id for group in named)


@pytest.fixture
def camera() -> Camera:
    return Camera()


def test_new_groups_get_ids_of_their_own(camera: Camera):
    assert camera.sees(of(1, 2), of(3, 4, x=900)) == (1, 2)


def test_a_group_that_moves_across_the_picture_stays_itself(camera: Camera):
    assert [camera.sees(of(1, 2, x=300 * step)) for step in range(5)] == [(1,)] * 5


def test_members_join_and_leave_until_none_of_the_first_is_left(camera: Camera):
    steps = [(1, 2), (1, 2, 3), (2, 3), (2, 3, 4), (3, 4), (4, 5, 3), (4, 5)]
    assert [camera.sees(of(*tracks)) for tracks in steps] == [(1,)] * len(steps)


def test_a_group_of_mostly_others_is_another(camera: Camera):
    camera.sees(of(1, 2, 3, 4))
    assert camera.sees(of(4, 5, 6, 7)) == (2,)


def test_the_larger_part_of_a_group_that_splits_keeps_its_identity(camera: Camera):
    camera.sees(of(1, 2, 3, 4, 5))
    assert camera.sees(of(1, 2), of(3, 4, 5, x=900)) == (2, 1)


def test_of_equal_parts_that_with_the_oldest_track_keeps_it(camera: Camera):
    camera.sees(of(1, 2, 3, 4))
    assert camera.sees(of(3, 4), of(1, 2, x=900)) == (2, 1)


def test_groups_that_merge_are_the_likest_one_and_of_equal_ones_the_older(camera: Camera):
    camera.sees(of(5, 6), of(1, 2, x=900), of(11, 12, 13, x=1200), of(14, 15, x=1600))
    assert camera.sees(of(1, 2, 5, 6), of(11, 12, 13, 14, 15, x=1200)) == (1, 3)


def test_groups_that_part_again_in_time_are_who_they_were(camera: Camera):
    assert camera.sees(of(1, 2), of(3, 4, x=900)) == (1, 2)
    assert camera.sees(of(1, 2, 3, 4)) == (1,)
    assert camera.sees(of(1, 2), of(3, 4, x=900)) == (1, 2)


@pytest.mark.parametrize(
    ("away_s", "group_id"),
    [pytest.param(FORGET_AFTER_S, 1, id="in time"), pytest.param(FORGET_AFTER_S + 1, 2, id="late")],
)
def test_a_group_out_of_sight_is_remembered_for_a_while(camera: Camera, away_s: float, group_id: int):
    camera.sees(of(1, 2))
    camera.sees(after_s=away_s - 1)
    assert camera.sees(of(1, 2, x=900)) == (group_id,)


def test_a_group_without_tracks_is_known_by_its_place_and_then_by_its_tracks(camera: Camera):
    assert camera.sees(untracked()) == (1,)
    assert camera.sees(of(1, 2, x=110)) == (1,)
    assert camera.sees(of(1, 2, x=900)) == (1,)
    assert camera.sees(untracked(x=100)) == (2,)


def test_where_both_have_tracks_the_place_does_not_matter(camera: Camera):
    camera.sees(of(1, 2))
    assert camera.sees(of(3, 4)) == (2,)


def test_a_clock_that_is_set_back_makes_all_new(camera: Camera):
    camera.sees(of(1, 2))
    assert camera.sees(of(1, 2), after_s=-3600) == (2,)


frames = st.lists(
    st.lists(st.integers(1, 6), min_size=12, max_size=12),  # the place of each of twelve tracks
    min_size=1,
    max_size=6,
)


def groups_of(places: Sequence[int]) -> list[Group]:
    tracks: dict[int, list[DetectedObject]] = {}
    for track, place in enumerate(places):
        tracks.setdefault(place, []).append(an_object(track, x=300 * place + 10 * track))
    return [a_group(0, *members) for members in tracks.values()]


@given(frames, st.randoms(use_true_random=False))
def test_neither_the_order_of_groups_nor_of_members_matters(frames, random):
    straight, shuffled = Identities(), Identities()
    for at, places in enumerate(frames):
        groups = groups_of(places)
        straight, named = identify(straight, groups, float(at))
        others = [_shuffled(group, random) for group in groups]
        random.shuffle(others)
        shuffled, renamed = identify(shuffled, others, float(at))
        assert {frozenset(g.track_ids): g.group_id for g in named} == {
            frozenset(g.track_ids): g.group_id for g in renamed
        }


def _shuffled(group: Group, random) -> Group:
    order = list(range(len(group.members)))
    random.shuffle(order)
    return replace(
        group,
        members=tuple(group.members[place] for place in order),
        track_ids=tuple(group.track_ids[place] for place in order),
    )


@given(frames)
def test_no_two_groups_of_a_frame_have_one_identity_and_a_forgotten_one_is_not_given_again(frames):
    identities, seen = Identities(), 0
    for at, places in enumerate(frames):
        identities, named = identify(identities, groups_of(places), float(at))
        ids = [group.group_id or 0 for group in named]
        assert len(set(ids)) == len(ids)
        assert identities.next_id > max([seen, *ids])
        seen = max([seen, *ids])


@given(st.sets(st.integers(1, 50), min_size=3, max_size=12), st.data())
def test_whoever_leaves_a_group_leaves_its_identity_behind(tracks, data):
    leaver = data.draw(st.sampled_from(sorted(tracks)))
    camera = Camera()
    assert camera.sees(of(*sorted(tracks)), of(100, 101, x=1500)) == (1, 2)
    assert camera.sees(of(*sorted(tracks - {leaver}), x=700), of(100, 101, leaver, x=1500)) == (1, 2)


def test_a_capture_worker_gives_its_groups_their_identities():
    eyes = Eyes(ClusteringSettings(max_distance_px=2000), fps=10, inline=False)
    ids = []
    for sequence, image in enumerate(two_cars_driving(6)):
        cars = [an_object(place, x=100 + 20 * sequence + 60 * place, track_id=None) for place in range(2)]
        seen = eyes.observe(Frame(image, captured_at=1000 + sequence / 10, media_s=sequence / 10), cars)
        ids += [group.group_id for group in seen.groups]
    assert ids == [1] * 6
