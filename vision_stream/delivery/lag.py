"""How far behind: messages by partition, seconds by topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from faust.types import TP

from vision_stream import metrics
from vision_stream.delivery.offsets import OffsetLedger


class Lag:
    """Measures the lag of the partitions that this worker owns."""

    def __init__(self) -> None:
        self._behind_since: dict[TP, tuple[int, float]] = {}  # the committable offset, and when it was first seen
        self._topics: set[str] = set()

    def report(self, ledger: OffsetLedger[TP], highwater: Callable[[TP], int | None], now: float) -> None:
        """Set the gauges.

        Args:
            highwater: the next offset that a partition will get.
            now: epoch seconds.
        """
        ages: dict[str, float] = {}
        for tp in ledger:
            books, end = ledger[tp], highwater(tp)
            if end is None:
                continue
            behind = max(end - books.committable, 0)
            metrics.consumer_lag.labels(topic=tp.topic, partition=tp.partition).set(behind)
            age = self._age(tp, books.committable, books.oldest(), now) if behind else 0.0
            ages[tp.topic] = max(ages.get(tp.topic, 0.0), age)
        for topic, age in ages.items():
            metrics.consumer_lag_seconds.labels(topic=topic).set(age)
        self._topics |= ages.keys()

    def _age(self, tp: TP, offset: int, timestamp: float | None, now: float) -> float:
        """Of the oldest message that is not committed; since it was first missed, where its stamp is not known."""
        seen_offset, since = self._behind_since.get(tp, (-1, now))
        if seen_offset != offset:
            since = now
        if timestamp:
            since = timestamp
        self._behind_since[tp] = offset, since
        return max(now - since, 0.0)

    def forget(self, revoked: Iterable[TP]) -> None:
        """Others report these now."""
        for tp in revoked:
            self._behind_since.pop(tp, None)
            with suppress(KeyError):
                metrics.consumer_lag.remove(tp.topic, str(tp.partition))
        for topic in {tp.topic for tp in revoked} & self._topics:
            metrics.consumer_lag_seconds.labels(topic=topic).set(0)
