"""Topics with another number of partitions than is wanted: what that does, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vision_stream.errors import ConfigError
from vision_stream.topics import TopicSpec

RAISING_MOVES = (
    "A camera's partition follows from its id and the number of partitions, so most cameras are in another one now. "
    "Their order is kept again from there on, but what still waits in the old one may be overtaken once; their rows in "
    "the tables stay behind: each group is judged anew, and a request that waited for results is pushed in part."
)
RAISE = (
    "set the numbers that the topics have, or delete these topics, or stop all workers and run "
    "`python scripts/init_kafka_topics.py --raise-partitions` (`vision-stream topics init --help`)"
)


def refusal(specs: Sequence[TopicSpec], counts: Mapping[str, int], *, may_raise: bool) -> ConfigError | None:
    """Names every topic of ``counts`` whose number of partitions cannot be made right; None where all can.

    Args:
        counts: partitions by topic; of the topics that are there.
        may_raise: those with fewer than wanted are no trouble.
    """
    there = [spec for spec in specs if spec.name in counts]
    many = [spec for spec in there if counts[spec.name] > spec.partitions]
    few = [spec for spec in there if counts[spec.name] < spec.partitions and not may_raise]
    if not many and not few:
        return None
    lines = [f"  topic {s.name!r} has {counts[s.name]}, not {s.partitions} ({s.said_in})" for s in many + few]
    if many:
        lines.append(f"  Raised by somebody else (kafka-topics.sh --alter, another configuration). {RAISING_MOVES}")
    return ConfigError(
        "\n".join(["wrong numbers of partitions:", *lines]),
        remedy=_keep_or_go_back(many, counts) if many else RAISE,
        error_id="VS-104",
    )


def _keep_or_go_back(many: Sequence[TopicSpec], counts: Mapping[str, int]) -> str:
    most = max(counts[spec.name] for spec in many)
    return (
        f"Kafka never takes partitions away. To keep {most}: stop the cameras and, when nothing waits any more, all "
        f"workers; set `partitions: {most}` in config/kafka.yaml, the same for detection_results, assessment_tasks, "
        "risk_assessment_results and camera_assessments, as they meet in the tables; run `python "
        "scripts/init_kafka_topics.py --raise-partitions`, which brings the other topics and the tables' changelogs to "
        "it; start again. To go back: stop all of them, delete "
        f"{', '.join(spec.name for spec in many)} with what is in there, and start again"
    )
