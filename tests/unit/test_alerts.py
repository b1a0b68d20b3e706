from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import a_group, an_object, assessed
from vision_stream.alerts import AlertBook, observe, stale, tick
from vision_stream.messages import Alert, Assessed
from vision_stream.settings import AlertSettings

POLICY = AlertSettings(min_level="high", resolve_after_s=20)


def feed(*verdicts: Assessed, book: AlertBook = AlertBook()) -> tuple[AlertBook, list[Alert]]:
    changed: list[Alert] = []
    for verdict in verdicts:
        book, news = observe(book, verdict, POLICY)
        changed += news
    return book, changed


def high(sequence: int = 1, at: float = 1000.0, **fields) -> Assessed:
    return assessed("high", sequence=sequence, captured_at=at, risk_types=("near miss",), **fields)


def test_a_high_verdict_opens_an_alert():
    _, (alert,) = feed(high())

    assert (alert.alert_id, alert.state, alert.opened_at) == ("alert:cam-01:s1:1/0", "opened", 1000)


def test_what_confirms_it_continues_the_same_alert():
    book, changed = feed(high(1, 1000), high(2, 1003), high(3, 1006))

    assert [a.state for a in changed] == ["opened", "continued", "continued"]
    assert len({a.alert_id for a in changed}) == 1
    assert book.alerts[0].confirmations == 3


def test_a_group_whose_members_are_all_others_by_now_continues_its_alert():
    convoy = a_group(0, an_object(0), an_object(1, x=140), group_id=5)
    later = a_group(0, an_object(7, x=900), an_object(8, x=940), group_id=5)

    _, changed = feed(high(1, group=convoy), high(2, 1003, group=later))

    assert [a.state for a in changed] == ["opened", "continued"]


def test_of_two_alerts_that_share_members_with_a_group_its_own_is_continued():
    left = a_group(0, an_object(0), an_object(1, x=140), group_id=1)
    right = a_group(1, an_object(7, x=900), an_object(8, x=940), group_id=2)
    merged = a_group(0, *(an_object(track, x=400 + 40 * track) for track in (0, 1, 7, 8)), group_id=1)

    _, changed = feed(high(1, group=left), high(1, index=1, group=right), high(2, 1003, group=merged))

    assert [(a.state, a.alert_id) for a in changed] == [
        ("opened", "alert:cam-01:s1:1/0"),
        ("opened", "alert:cam-01:s1:1/1"),
        ("continued", "alert:cam-01:s1:1/0"),
    ]


def test_a_groups_identity_of_another_run_of_the_worker_means_nothing():
    there = a_group(0, an_object(7, x=900), an_object(8, x=940), group_id=5)

    _, changed = feed(high(1, group=a_group(group_id=5)), high(1, 1003, session="s2", group=there))

    assert [a.state for a in changed] == ["opened", "opened"]


def test_another_place_is_another_alert():
    elsewhere = a_group(0, an_object(7, x=900), an_object(8, x=940))

    _, changed = feed(high(1), high(2, 1003, group=elsewhere))

    assert [a.state for a in changed] == ["opened", "opened"]


def test_another_kind_of_risk_is_another_alert():
    _, changed = feed(high(1), assessed("high", sequence=2, captured_at=1003, risk_types=("falling load",)))

    assert [a.state for a in changed] == ["opened", "opened"]


def test_a_calm_verdict_resolves_it():
    _, changed = feed(high(1), assessed("none", sequence=2, captured_at=1003))

    assert (changed[-1].state, changed[-1].resolved_at) == ("resolved", 1003)


def test_a_medium_verdict_neither_confirms_nor_resolves():
    _, changed = feed(high(1), assessed("medium", sequence=2, captured_at=1003))

    assert len(changed) == 1


def test_an_older_frame_answered_late_does_not_resolve_a_newer_alert():
    _, changed = feed(high(2, 1003), assessed("none", sequence=1, captured_at=1000))

    assert [a.state for a in changed] == ["opened"]


def test_an_older_frame_answered_late_does_not_reopen_what_is_resolved():
    _, changed = feed(high(1, 1000), assessed("none", sequence=3, captured_at=1006), high(2, 1003))

    assert [a.state for a in changed] == ["opened", "resolved"]


def test_time_resolves_what_nothing_confirms():
    book, _ = feed(high())
    assert stale(book, 1020, POLICY) == ()

    book, changed = tick(book, 1020.1, POLICY)

    assert [a.state for a in changed] == ["resolved"]
    assert stale(book, 2000, POLICY) == ()


def test_a_new_danger_after_the_end_is_a_new_alert():
    _, changed = feed(high(1, 1000), assessed("none", sequence=2, captured_at=1003), high(3, 1010))

    assert [a.state for a in changed] == ["opened", "resolved", "opened"]
    assert changed[0].alert_id != changed[2].alert_id


def test_track_ids_of_another_session_are_other_objects():
    elsewhere = a_group(0, an_object(0, x=900), an_object(1, x=940))

    _, changed = feed(high(1), high(2, 1003, session="s2", group=elsewhere))

    assert [a.state for a in changed] == ["opened", "opened"]


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["none", "medium", "high"])), max_size=25))
def test_a_replay_of_all_that_was_taken_changes_nothing(steps):
    verdicts = [
        assessed(level, sequence=n, captured_at=1000.0 + at, risk_types=("x",)) for n, (at, level) in enumerate(steps)
    ]
    verdicts.sort(key=lambda v: v.times.captured_at)
    book, _ = feed(*verdicts)
    opened = {a.alert_id for a in book.alerts if a.state != "resolved"}

    again, _ = feed(*verdicts, book=book)

    assert {a.alert_id for a in again.alerts if a.state != "resolved"} == opened
