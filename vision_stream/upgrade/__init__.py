"""What going over to this version means for a system that runs: looked at, and changed by nobody.

``broker`` reads what topics are and hold, ``processes`` who runs on this host; ``judge`` says what follows.
"""

from __future__ import annotations

from vision_stream.checks.finding import Finding
from vision_stream.settings import Settings
from vision_stream.upgrade import broker, judge, processes

STEPS = (
    "Read `CHANGELOG.md`: what is said under *Changed* and *Removed*.",
    "Install the new version beside the old one, and let it look: `vision-stream upgrade --dry-run`.",
    "Run `python scripts/init_kafka_topics.py` of the new version.",
    "Restart the workers one after another, then the gateways, then the capture processes: readers before writers.",
    "`vision-stream audit --since 15m --settle 60`.",
)


async def look(settings: Settings) -> list[Finding]:
    """All findings about topics, messages and processes.

    Raises:
        DependencyError: Kafka is used and does not answer.
    """
    running = judge.running(await processes.versions(settings))
    if not settings.enable_kafka_streaming:
        return [Finding("topics", "unused", "not used (enable_kafka_streaming is false)"), running]
    there = await broker.there(settings)
    return [*judge.topics(settings, there), *judge.messages(await broker.newest(settings, there)), running]
