"""What follows for an upgrade from what was seen. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vision_stream import __version__
from vision_stream.checks.finding import Finding
from vision_stream.messages import SCHEMA_VERSION
from vision_stream.settings import Settings
from vision_stream.topics import TopicSpec, specs
from vision_stream.upgrade.broker import Topic

INIT = "`python scripts/init_kafka_topics.py` does it"


def topics(settings: Settings, there: Mapping[str, Topic]) -> list[Finding]:
    """One finding for each topic that would be added or changed, or that workers would refuse; else one for all."""
    wanted = specs(settings)
    found = [finding for spec in wanted if (finding := _topic(spec, there.get(spec.name))) is not None]
    return found or [Finding("topics", "ok", f"all {len(wanted)} stay as they are")]


def _topic(spec: TopicSpec, topic: Topic | None) -> Finding | None:
    if topic is None:
        return Finding("topics", "note", f"{spec.name} would be added ({spec.partitions} partitions)", INIT)
    if topic.partitions != spec.partitions:
        text = (
            f"{spec.name} has {topic.partitions} partitions, not {spec.partitions} ({spec.said_in}): workers refuse it"
        )
        return Finding("topics", "wrong", text, "see `vision-stream topics init --help`", 2)
    changes = [
        f"{name} {topic.config.get(name, 'unset')} -> {value}"
        for name, value in spec.config.items()
        if topic.config.get(name) != value
    ]
    return Finding("topics", "note", f"{spec.name} would be changed: {', '.join(changes)}", INIT) if changes else None


def messages(versions: Mapping[str, frozenset[int]]) -> list[Finding]:
    """Are there messages that this version cannot read?

    Args:
        versions: schema versions of newest messages by topic; 0: a message had none.
    """
    newer = {topic: max(seen) for topic, seen in versions.items() if max(seen) > SCHEMA_VERSION}
    told = [
        Finding(
            "messages",
            "wrong",
            f"{topic} holds schema version {version}; this version reads up to {SCHEMA_VERSION}, and would bury them",
            "this is a way back: capture first, then gateways, then workers (docs/upgrade.md)",
            1,
        )
        for topic, version in sorted(newer.items())
    ]
    odd = sorted(topic for topic, seen in versions.items() if min(seen) < 1)
    if odd:
        told.append(Finding("messages", "note", f"not of ours, or without a schema version: in {', '.join(odd)}"))
    if told:
        return told
    seen = sorted({version for of in versions.values() for version in of})
    text = f"schema version {', '.join(map(str, seen))} on the topics" if seen else "none on the topics"
    return [Finding("messages", "ok", f"{text}; this version writes {SCHEMA_VERSION} and reads 1 to {SCHEMA_VERSION}")]


def running(versions: Mapping[str, str]) -> Finding:
    """Which processes of this host would be another version after their restart?"""
    if not versions:
        return Finding("running", "note", f"no process of ours seen on this host; installed is {__version__}")
    counts = ", ".join(f"{count} x {version}" for version, count in sorted(Counter(versions.values()).items()))
    others = sorted(address for address, version in versions.items() if version != __version__)
    if others:
        remedy = "restart them: workers, then gateways, then capture"
        return Finding("running", "note", f"{counts}; installed is {__version__}: {', '.join(others)}", remedy)
    return Finding("running", "ok", f"{counts}, as installed")
