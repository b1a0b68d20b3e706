"""How far behind: messages by partition, seconds by topic."""

from __future__ import annotations

import pytest
from faust.types.tuples import TP

from vision_stream import metrics
from vision_stream.delivery.lag import Lag
from vision_stream.delivery.offsets import OffsetLedger

ONE, TWO = TP("lag-of-a-test", 0), TP("lag-of-a-test", 1)


def value(gauge, **labels: str) -> float | None:
    for metric in gauge.collect():
        for sample in metric.samples:
            if labels.items() <= sample.labels.items():
                return sample.value
    return None


@pytest.fixture
def ledger() -> OffsetLedger[TP]:
    made = OffsetLedger[TP]()
    made.open(ONE, 1, 5)
    made.open(TWO, 1, 0)
    return made


def test_lag_is_what_lies_beyond_the_offset_that_may_be_committed(ledger: OffsetLedger[TP]):
    Lag().report(ledger, {ONE: 8, TWO: 0}.get, now=100.0)
    assert value(metrics.consumer_lag, topic=ONE.topic, partition="0") == 3
    assert value(metrics.consumer_lag, topic=ONE.topic, partition="1") == 0


def test_the_age_is_that_of_the_oldest_message_that_is_worked_on(ledger: OffsetLedger[TP]):
    ledger.take(ONE, 1, 5, timestamp=90.0)
    ledger.take(ONE, 1, 6, timestamp=95.0)
    Lag().report(ledger, {ONE: 8, TWO: 0}.get, now=100.0)
    assert value(metrics.consumer_lag_seconds, topic=ONE.topic) == 10.0


def test_a_message_that_nobody_takes_ages_from_when_it_was_first_missed(ledger: OffsetLedger[TP]):
    lag = Lag()
    for now in (100.0, 103.0, 107.0):
        lag.report(ledger, {ONE: 8, TWO: 0}.get, now=now)
    assert value(metrics.consumer_lag_seconds, topic=ONE.topic) == 7.0


def test_a_revoked_partition_is_reported_by_its_next_owner_alone(ledger: OffsetLedger[TP]):
    lag = Lag()
    lag.report(ledger, {ONE: 8, TWO: 0}.get, now=100.0)
    lag.forget([ONE, TWO])
    assert value(metrics.consumer_lag, topic=ONE.topic, partition="0") is None
    assert value(metrics.consumer_lag_seconds, topic=ONE.topic) == 0
