"""What members of a group tell each other, inside Kafka's own messages about a consumer group.

    member  -> leader   Hello, when it joins: what it watches now
    leader  -> member   Share, when all have joined: what it is to watch

Kafka picks the leader, and says when somebody has come or gone. No partition is assigned: the topic that the group
subscribes to is only there because a consumer group has to have one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import structlog
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from msgspec import Struct

from vision_stream.errors import MessageError
from vision_stream.messages import decode, encode
from vision_stream.redaction import redact_url
from vision_stream.settings import CameraSettings
from workers.capture.group.shares import Claim, share_out

_log = structlog.get_logger(__name__)


class Hello(Struct, frozen=True, kw_only=True):
    claim: Claim = Claim()


class Share(Struct, frozen=True, kw_only=True):
    claim: Claim  # of the next round: what the member watches from now on
    members: int
    configured: str  # the leader's ``fingerprint``


def fingerprint(cameras: Iterable[CameraSettings]) -> str:
    """Tells two configurations apart; holds nothing of a password, not even its hash.

    >>> one, other = ({"id": "a", "source": f"rtsp://viewer:{word}@10.0.0.5/1"} for word in ("x", "y"))
    >>> fingerprint([CameraSettings(**one)]) == fingerprint([CameraSettings(**other)])
    True
    >>> fingerprint([CameraSettings(**one, fps=1)]) == fingerprint([CameraSettings(**one, fps=2)])
    False
    """
    told = [
        camera.model_dump(mode="json") | {"source": redact_url(camera.source.get_secret_value())} for camera in cameras
    ]
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]


class Assignor:
    """aiokafka asks it at each rebalance: what to tell the leader, and as the leader, who gets what.

    ``joining`` is called before this member asks to be let in, ``given`` when it has been told its share.
    """

    name = "vision-stream-cameras"  # members with another one are refused by Kafka

    def __init__(self, joining: Callable[[], None], given: Callable[[Share], None]) -> None:
        self._joining = joining
        self._given = given
        self.claim = Claim()  # what this member watches
        self.cameras: tuple[str, ...] = ()  # that the group should watch, as this member knows it
        self.configured = ""
        self.leads = False

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        self.leads = False
        self._joining()
        return ConsumerProtocolMemberMetadata(0, list(topics), encode(Hello(claim=self.claim)))

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        self.leads = True
        claims = {member: _claim(told.user_data) for member, told in members.items()}
        turn = 1 + max(claim.round for claim in claims.values())
        shares = share_out(self.cameras, claims)
        return {
            member: ConsumerProtocolMemberAssignment(
                0,
                [],
                encode(Share(claim=Claim(turn, cameras), members=len(members), configured=self.configured)),
            )
            for member, cameras in shares.items()
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Raises MessageError: the leader's words mean nothing to this version; aiokafka then gives up the group."""
        share = decode(assignment.user_data, Share)
        self.claim = share.claim
        self._given(share)


def _claim(told: bytes | None) -> Claim:
    """Of a member whose words mean nothing to this version: that it watches nothing."""
    try:
        return decode(told, Hello).claim
    except MessageError as error:
        _log.error("a member of the capture group is of another version", error=str(error))
        return Claim()
