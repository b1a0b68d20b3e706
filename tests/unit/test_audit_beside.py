"""What the auditor judges by more than the topics: the gateway's pushes, key cooldowns, budgets, processes, a fault's
window. Silent where all is well; each planted defect is found."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from tests.runs import BEGAN, SETTINGS, Run, a_run
from vision_stream.audit import check
from vision_stream.audit.asking import look_of
from vision_stream.audit.book_files import read_books
from vision_stream.audit.facts import Books, Entry, Look, Push, PushId, Session, Window
from vision_stream.audit.progress import Wait, longest_stall
from vision_stream.audit.pushed import push_id, said_at
from vision_stream.errors import ConfigError
from vision_stream.llm.cooldowns import Cooldown, merge
from vision_stream.llm.spending import Books as BookFiles
from vision_stream.llm.spending import DayBook
from vision_stream.messages import Assessed, CameraMessage, decode
from vision_stream.settings import KeySettings, LLMSettings, PriceSettings
from vision_stream.simulators.llm.calls import Call


@pytest.fixture
def run() -> Run:
    return a_run()


# -- I4: the gateway's pushes


def pushes(run: Run) -> list[Push]:
    """As a session gets them that was there from before the run."""
    sent = [decode(entry.value, CameraMessage) for entry in run.topics["camera_assessments"]]
    return [Push(id=push_id(message), said_at=said_at(message)) for message in sent]


def a_session(pushed: Iterable[Push]) -> Session:
    return Session(begun=BEGAN - 60, ended=BEGAN + 600, pushes=tuple(pushed))


def test_a_session_that_was_pushed_everything_once_is_sound(run: Run):
    report = run.report(sessions=(a_session(pushes(run)),))

    assert report.findings == ()
    assert "I4" not in report.undecided


def test_a_push_that_a_session_did_not_get_is_found(run: Run):
    whole = pushes(run)

    assert run.found(sessions=(a_session(whole), a_session(whole[1:]))) == {"I4": [whole[0].id.id]}


def test_a_push_that_came_twice_is_found(run: Run):
    whole = pushes(run)

    assert run.found(sessions=(a_session([*whole, whole[3]]),)) == {"I4": [whole[3].id.id]}


def test_a_push_of_which_no_topic_knows_is_found(run: Run):
    invented = Push(id=PushId("load-0001:s1:99", "complete"), said_at=BEGAN + 9)

    assert run.found(sessions=(a_session([*pushes(run), invented]),)) == {"I4": ["load-0001:s1:99"]}


def test_what_was_said_before_the_session_began_is_not_missed_in_it(run: Run):
    late = Session(begun=BEGAN + 300, ended=BEGAN + 600, pushes=())

    assert run.report(sessions=(late,)).ok


def test_a_join_that_comes_again_need_not_be_pushed_again(run: Run):
    last = run.topics["camera_assessments"][-1]
    whole = pushes(run)
    run.topics["camera_assessments"].append(last._replace(offset=last.offset + 1))

    assert run.report(sessions=(a_session(whole),)).ok


# -- I7: cooldowns


def cool(run: Run, key_id: str, cooldown: Cooldown, at: float) -> None:
    run.send("key_cooldowns", key_id, cooldown)
    run.topics["key_cooldowns"][-1] = run.topics["key_cooldowns"][-1]._replace(timestamp=at)


FIRST = Cooldown(until=1100.0, failures=2, reason="429", at=1040.0)
NEWS = Cooldown(until=1085.0, failures=1, reason="timeout", at=1075.0)


def failing(at: float, status: int = 429) -> Call:
    return Call(key="key-001", at=at, status=status, latency_s=0.1)


def test_a_row_that_merges_the_one_before_it_is_sound(run: Run):
    cool(run, "key-001", FIRST, 1040.0)
    cool(run, "key-001", merge(FIRST, NEWS), 1075.0)

    assert run.report(calls=(failing(1039.0), failing(1074.0))).ok


def test_a_row_that_forgets_a_cooldown_is_found(run: Run):
    cool(run, "key-001", FIRST, 1040.0)
    cool(run, "key-001", NEWS, 1075.0)

    assert run.found() == {"I7": ["key_cooldowns-0@1"]}


def test_rows_that_two_workers_wrote_at_once_are_no_finding(run: Run):
    cool(run, "key-001", FIRST, 1040.0)
    cool(run, "key-001", replace(NEWS, at=1040.5), 1040.5)

    assert run.report().ok


def test_a_key_that_works_again_may_forget(run: Run):
    cool(run, "key-001", FIRST, 1040.0)
    cool(run, "key-001", Cooldown(at=1075.0), 1075.0)

    assert run.report().ok


def test_a_failure_that_no_call_had_is_found(run: Run):
    cool(run, "key-001", FIRST, 1040.0)

    assert run.found(calls=(failing(1000.0),)) == {"I7": ["key_cooldowns-0@0"]}


def test_a_refusal_that_the_table_does_not_know_is_found(run: Run):
    assert run.found(calls=(failing(1040.0, status=401),)) == {"I7": ["key-001"]}

    cool(run, "key-001", Cooldown(failures=1, disabled=True, at=1040.1), 1040.1)
    assert run.report(calls=(failing(1040.0, status=401),)).ok


# -- I9: the budget

PRICED = SETTINGS.model_copy(
    update={
        "llm": LLMSettings(
            keys=(KeySettings(id="key-001", api_key="sk-1"),),  # type: ignore[arg-type]  # pydantic makes it secret
            prices=(PriceSettings(model="gpt-4o-mini", input_per_million=1.0, output_per_million=2.0),),
        )
    }
)
DAY = time.strftime("%Y-%m-%d", time.gmtime(BEGAN))
COST = (500 * 1.0 + 100 * 2.0) / 1e6  # of one call


def priced(run: Run) -> tuple[Call, ...]:
    """Each outcome comes from one call of 500 and 100 tokens, at noon; the calls."""
    for entry in run.topics["risk_assessment_results"]:
        run.change("risk_assessment_results", entry.offset, Assessed, _with_tokens)
    count = len(run.topics["risk_assessment_results"])
    call = Call(key="key-001", at=NOON, status=200, latency_s=0.1, model="gpt-4o-mini",
                input_tokens=500, output_tokens=100)  # fmt: skip
    return (call,) * count


NOON = 12 * 3600.0  # of the day of the run


def _with_tokens(outcome: Assessed) -> Assessed:
    times = replace(outcome.times, called_at=NOON)
    return replace(outcome, times=times, model="gpt-4o-mini", input_tokens=500, output_tokens=100)


def a_book(calls: int, *, camera_ids: tuple[str, ...] = ("load-0001", "load-0002"), more: float = 0.0) -> Books:
    book = DayBook()
    for camera_id in camera_ids:
        book.correct(camera_id, calls * COST / len(camera_ids))
    book.correct(camera_ids[0], more)
    return Books(hosts=(book,))


def of_the_budget(run: Run, calls: tuple[Call, ...], books: Books) -> list[str]:
    report = check(run.facts(calls=calls, books={DAY: books}), PRICED, strict=True)
    return [finding.id for finding in report.findings if finding.invariant == "I9"]


def test_a_book_of_what_the_calls_cost_is_sound(run: Run):
    calls = priced(run)

    assert of_the_budget(run, calls, a_book(len(calls))) == []


def test_the_books_of_two_hosts_are_added(run: Run):
    calls = priced(run)
    halves = a_book(len(calls) // 2).hosts + a_book(len(calls) // 2).hosts

    assert of_the_budget(run, calls, Books(hosts=halves)) == []
    assert of_the_budget(run, calls, Books(hosts=halves[:1])) != []


def test_calls_that_were_not_booked_are_found_in_all_and_by_camera(run: Run):
    calls = priced(run)

    assert of_the_budget(run, calls, a_book(len(calls) - 1)) == [DAY, "load-0001", "load-0002"]
    assert of_the_budget(run, calls, a_book(len(calls), camera_ids=("load-0001",))) == ["load-0002"]


def test_more_than_the_calls_can_have_cost_is_found(run: Run):
    calls = priced(run)

    assert of_the_budget(run, calls, a_book(len(calls), more=COST)) == [DAY]


def test_a_call_that_was_given_up_may_have_cost_all_that_it_could(run: Run):
    calls = priced(run)
    given_up = Call(key="key-001", at=NOON, status=0, latency_s=15.0, model="gpt-4o-mini")

    assert of_the_budget(run, (*calls, given_up), a_book(len(calls), more=COST)) == []


def test_a_call_whose_answer_a_kill_kept_from_its_worker_is_no_finding(run: Run):
    calls = priced(run)

    assert of_the_budget(run, (*calls, calls[0]), a_book(len(calls), more=2 * COST)) == []


def test_while_calls_are_under_way_the_most_is_not_judged(run: Run):
    calls = priced(run)
    moved = replace(a_book(len(calls), more=1.0), moved=True)

    assert of_the_budget(run, calls, moved) == []


def test_books_are_read_from_the_files_that_workers_write(tmp_path):
    now = time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    BookFiles(tmp_path).of(day).add("load-0001", 1.25, None, None)

    (book,) = read_books([tmp_path], now)[day]

    assert (book.total, book.of("load-0001"), book.of("load-0002")) == (1.25, 1.25, 0.0)


def test_a_directory_without_books_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no spent-"):
        read_books([tmp_path], time.time())


# -- I12: processes


def looks(*done: float, behind: float = 5.0, beat_ago_s: float = 0.5) -> dict[str, tuple[Look, ...]]:
    """One each 10 s."""
    at = [1000.0 + 10 * n for n in range(len(done))]
    return {
        "127.0.0.1:9090": tuple(
            Look(at=t, beats={"worker": t - beat_ago_s}, done=d, behind=behind) for t, d in zip(at, done, strict=True)
        )
    }


@pytest.mark.parametrize(
    "seen",
    [looks(1, 2, 3, 4, 5), looks(7, 7, 7, 7, 7, behind=0.0), looks(1, 2, 3, 3, 3)],
    ids=["it works", "nothing waits", "it stands for 20 s"],
)
def test_a_process_that_gets_on_is_sound(run: Run, seen):
    assert run.report(looks=seen).ok


def test_a_process_that_lives_and_does_nothing_while_messages_wait_is_found(run: Run):
    assert run.found(looks=looks(6, 7, 7, 7, 7)) == {"I12": ["127.0.0.1:9090"]}


def test_a_process_whose_loop_stands_is_found_at_the_first_look(run: Run):
    assert run.found(looks=looks(1, beat_ago_s=31.0)) == {"I12": ["127.0.0.1:9090"]}


def test_a_look_is_read_from_the_metrics_that_processes_serve():
    page = """# TYPE vision_stream_loop_beat_timestamp_seconds gauge
vision_stream_loop_beat_timestamp_seconds{loop="worker"} 123.5
# TYPE vision_stream_events_done_total counter
vision_stream_events_done_total{agent="a"} 3.0
vision_stream_events_done_total{agent="b"} 4.0
# TYPE kafka_consumer_lag gauge
kafka_consumer_lag{partition="0",topic="x"} 2.0
kafka_consumer_lag{partition="1",topic="x"} 1.0
"""
    assert look_of(page, at=124.0) == Look(at=124.0, beats={"worker": 123.5}, done=7.0, behind=3.0)


# -- I13: cameras during a fault


def at_second(entries: list[Entry], seconds: dict[int, float]) -> list[Entry]:
    return [entry._replace(timestamp=BEGAN + seconds.get(entry.offset, 0.0)) for entry in entries]


def stalled(run: Run) -> Run:
    """The last outcome of each camera comes 40 s after its task."""
    last = {entry.key: entry.offset for entry in run.topics["risk_assessment_results"]}
    for topic in ("risk_assessment_results", "camera_assessments"):
        run.topics[topic] = at_second(run.topics[topic], dict.fromkeys(last.values(), 40.0))
    return run


DURING = Window(BEGAN, BEGAN + 60)


def test_cameras_that_go_on_during_a_fault_are_sound(run: Run):
    report = run.report(fault=DURING)

    assert report.ok
    assert report.checked["I13"] == 2


def test_a_camera_that_stands_during_a_fault_is_found(run: Run):
    found = stalled(run).found(fault=DURING)

    assert found == {"I13": ["load-0001", "load-0002"]}


def test_of_a_fault_only_its_untouched_cameras_are_judged_and_only_its_time(run: Run):
    stalled(run)

    assert run.found(fault=DURING, untouched=frozenset({"load-0002"})) == {"I13": ["load-0002"]}
    assert run.report(fault=Window(BEGAN + 15, BEGAN + 60)).ok


@pytest.mark.parametrize(
    ("waits", "longest_s"),
    [
        ([], 0.0),
        ([Wait(-5, 3), Wait(2, 4)], 3.0),
        ([Wait(1, 2), Wait(18, float("inf"))], 2.0),
        ([Wait(0, float("inf")), Wait(0, 5), Wait(0, 12)], 8.0),
    ],
    ids=["nothing waits", "from before", "not done yet", "others are done meanwhile"],
)
def test_a_stall_is_time_in_which_something_waits_and_nothing_is_done(waits, longest_s):
    assert longest_stall(waits, Window(0.0, 20.0)) == longest_s
