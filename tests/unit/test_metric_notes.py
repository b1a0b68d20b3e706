"""What is noted for a metric is there for whoever reads it, by whatever way."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, generate_latest

from vision_stream.metric_notes import MOST, NotedCounter, NotedHistogram, add_up, note


def test_a_reader_of_the_page_sees_all_that_was_noted():
    registry = CollectorRegistry()
    calls = NotedCounter("calls", "Calls.", ["key"], registry=registry)
    waits = NotedHistogram("waits", "Waits.", buckets=(1, 2), registry=registry)
    for key in ("a", "a", "b"):
        note(calls.labels(key).inc)
    note(waits.observe, 1.5)

    page = generate_latest(registry).decode()
    assert 'calls_total{key="a"} 2.0' in page
    assert 'calls_total{key="b"} 1.0' in page
    assert 'waits_bucket{le="1.0"} 0.0' in page
    assert 'waits_bucket{le="2.0"} 1.0' in page
    assert "waits_sum 1.5" in page


def test_so_does_one_who_asks_for_that_metric_alone():
    registry = CollectorRegistry()
    calls = NotedCounter("calls", "Calls.", registry=registry)
    note(calls.inc)

    assert b"calls_total 1.0" in generate_latest(registry.restricted_registry(["calls_total"]))


def test_where_nobody_reads_notes_are_added_up_all_the_same():
    add_up()
    seen: list[int] = []
    for n in range(MOST + 1):
        note(seen.append, n)
        assert len(seen) in (0, MOST + 1)
    assert seen == list(range(MOST + 1))


def test_several_threads_count_each_note_once():
    registry = CollectorRegistry()
    calls = NotedCounter("calls", "Calls.", registry=registry)

    def count() -> None:
        for _ in range(1000):
            note(calls.inc)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        generate_latest(registry)
    assert registry.get_sample_value("calls_total") == 4000
