"""What members of a capture group tell each other, without a Kafka between them."""

from __future__ import annotations

import pytest
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata

from vision_stream.errors import MessageError
from vision_stream.settings import CameraSettings
from workers.capture.group.protocol import Assignor, Share, fingerprint


class Member:
    def __init__(self, *cameras: str) -> None:
        self.shares: list[Share] = []
        self.assignor = Assignor(lambda: None, self.shares.append)
        self.assignor.cameras, self.assignor.configured = cameras, "file"

    def hello(self) -> ConsumerProtocolMemberMetadata:
        return self.assignor.metadata(["commands"])


def rebalance(leader: Member, **members: Member) -> None:
    """As Kafka does it: all say hello, the leader shares out, each is handed its own."""
    hellos = {name: member.hello() for name, member in members.items()}
    assigned = leader.assignor.assign(None, hellos)
    for name, member in members.items():
        member.assignor.on_assignment(type(assigned[name]).decode(assigned[name].encode()))


def test_members_watch_what_their_leader_says_and_claim_it_the_next_time():
    a, b = Member("north", "south", "east"), Member()
    rebalance(a, a=a, b=b)
    shares = [member.shares[-1].claim.cameras for member in (a, b)]
    assert shares == [("east", "north"), ("south",)]

    b.assignor.cameras = ("north", "south", "east")
    rebalance(b, a=a, b=b)

    assert [member.shares[-1].claim.cameras for member in (a, b)] == shares
    assert [member.shares[-1].members for member in (a, b)] == [2, 2]


def test_what_the_leader_does_not_know_is_watched_by_nobody():
    leader, other = Member("north"), Member("north", "south")

    rebalance(leader, a=leader, b=other)

    assert sorted(leader.shares[-1].claim.cameras + other.shares[-1].claim.cameras) == ["north"]


def test_one_who_was_away_for_a_round_keeps_nothing_that_others_were_given():
    a, b = Member("north", "south"), Member("north", "south")
    rebalance(a, a=a, b=b)
    assert b.shares[-1].claim.cameras == ("south",)

    rebalance(a, a=a)  # without b, which is frozen
    a.assignor.cameras = ("north", "south", "more")
    rebalance(a, a=a, b=b)

    assert a.shares[-1].claim.cameras == ("north", "south")
    assert b.shares[-1].claim.cameras == ("more",)


def test_only_who_shares_out_leads():
    a, b = Member("north"), Member("north")
    rebalance(a, a=a, b=b)
    assert (a.assignor.leads, b.assignor.leads) == (True, False)

    rebalance(b, a=a, b=b)
    assert (a.assignor.leads, b.assignor.leads) == (False, True)


@pytest.mark.parametrize("told", [b"", b"garbage", b'{"claim": [1]}', None], ids=str)
def test_a_member_that_says_nothing_sensible_watches_nothing_and_is_given_its_share(told: bytes | None):
    leader = Member("north", "south")

    assigned = leader.assignor.assign(
        None, {"a": leader.hello(), "b": ConsumerProtocolMemberMetadata(0, ["commands"], told)}
    )

    assert assigned.keys() == {"a", "b"}


def test_a_share_that_means_nothing_is_an_error_and_changes_nothing():
    member = Member("north")
    rebalance(member, a=member)
    (assigned,) = member.assignor.assign(None, {"a": member.hello()}).values()

    with pytest.raises(MessageError):
        member.assignor.on_assignment(type(assigned)(0, [], b"{}"))

    assert len(member.shares) == 1
    assert member.assignor.claim == member.shares[0].claim


def test_a_fingerprint_knows_other_zones_and_no_password():
    def camera(word: str = "canary", **fields: object) -> CameraSettings:
        return CameraSettings.model_validate({"id": "a", "source": f"rtsp://me:{word}@10.0.0.5/1", **fields})

    assert fingerprint([camera()]) == fingerprint([camera("another")])
    assert fingerprint([camera()]) != fingerprint([camera(fps=1)])
    assert fingerprint([camera()]) != fingerprint([])
