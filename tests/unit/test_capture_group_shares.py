"""Who of a group watches which camera."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.capture.group.shares import Claim, share_out

CAMERAS = st.sets(st.integers(0, 60).map("cam-{:02}".format), max_size=40)
MEMBERS = st.sets(st.integers(0, 12).map("worker-{}".format), min_size=1, max_size=8)


@st.composite
def claims(draw: st.DrawFn) -> dict[str, Claim]:
    """Of any kind: overlapping, of cameras that are gone, of rounds that are long over."""
    claim = st.builds(Claim, st.integers(0, 5), CAMERAS.map(lambda ids: tuple(sorted(ids))))
    return {member: draw(claim) for member in draw(MEMBERS)}


def settled(cameras: set[str], members: set[str]) -> dict[str, Claim]:
    """The claims of members who watch what they were given in round 1."""
    shares = share_out(cameras, dict.fromkeys(sorted(members), Claim()))
    return {member: Claim(1, share) for member, share in shares.items()}


def owners(shares: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {camera: member for member, share in shares.items() for camera in share}


@given(CAMERAS, claims())
def test_every_camera_is_given_to_exactly_one_member(cameras: set[str], claims: dict[str, Claim]):
    shares = share_out(cameras, claims)

    assert sorted(camera for share in shares.values() for camera in share) == sorted(cameras)
    assert shares.keys() == claims.keys()


@given(CAMERAS, claims())
def test_nobody_has_more_than_one_camera_more_than_another(cameras: set[str], claims: dict[str, Claim]):
    sizes = [len(share) for share in share_out(cameras, claims).values()]

    assert max(sizes) - min(sizes) <= 1


@given(CAMERAS, claims())
def test_the_order_in_which_members_are_named_does_not_matter(cameras: set[str], claims: dict[str, Claim]):
    assert share_out(sorted(cameras), claims) == share_out(
        sorted(cameras, reverse=True), dict(sorted(claims.items(), reverse=True))
    )


@given(CAMERAS, MEMBERS, st.data())
def test_sharing_what_is_even_already_moves_nothing(cameras: set[str], members: set[str], data: st.DataObject):
    even = settled(cameras, members)
    before = dict(zip(even, data.draw(st.permutations(list(even.values()))), strict=True))

    assert share_out(cameras, before) == {member: claim.cameras for member, claim in before.items()}


@given(CAMERAS, MEMBERS, st.data())
def test_when_a_member_leaves_only_its_cameras_move(cameras: set[str], members: set[str], data: st.DataObject):
    before = settled(cameras, members | {"another"})
    gone = data.draw(st.sampled_from(sorted(before)))

    after = owners(share_out(cameras, {member: claim for member, claim in before.items() if member != gone}))

    for member, claim in before.items():
        assert member == gone or all(after[camera] == member for camera in claim.cameras)


@given(CAMERAS, MEMBERS)
def test_one_who_joins_is_given_a_fair_share_and_nothing_else_moves(cameras: set[str], members: set[str]):
    before = settled(cameras, members)

    shares = share_out(cameras, {**before, "joins": Claim()})

    moved = {c for member, claim in before.items() for c in claim.cameras if c not in shares[member]}
    assert moved == set(shares["joins"])
    assert len(moved) <= -(-len(cameras) // (len(members) + 1))


@given(CAMERAS, MEMBERS)
def test_a_camera_that_is_added_moves_no_other(cameras: set[str], members: set[str]):
    before = settled(cameras, members)

    after = owners(share_out(cameras | {"new"}, before))

    assert {camera: after[camera] for camera in cameras} == owners({m: c.cameras for m, c in before.items()})


def test_of_two_who_claim_a_camera_the_one_with_the_later_round_has_it():
    was_frozen = Claim(3, ("a", "b"))
    took_over = Claim(4, ("a",))

    assert share_out(["a", "b"], {"x": was_frozen, "y": took_over}) == {"x": ("b",), "y": ("a",)}
    assert share_out(["a", "b"], {"y": was_frozen, "x": took_over}) == {"y": ("b",), "x": ("a",)}


def test_a_worker_that_there_is_no_camera_for_has_none():
    assert share_out(["a"], {"x": Claim(1, ("a",)), "y": Claim()}) == {"x": ("a",), "y": ()}
