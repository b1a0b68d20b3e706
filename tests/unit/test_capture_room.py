"""How many pictures at once: less room is learnt at once, more again only after a while."""

from __future__ import annotations

from workers.capture.room import GOOD, MOST_GOOD, Room


def goes_well(room: Room, batches: int) -> None:
    for _ in range(batches):
        room.went_well(room.most)


def test_a_batch_that_failed_halves_what_is_taken_down_to_one():
    room = Room(8)
    seen = []
    for _ in range(4):
        room.failed(max(2, room.most))
        seen.append(room.most)
    assert seen == [4, 2, 1, 1]


def test_a_passing_failure_is_forgotten_after_so_many_full_batches():
    room = Room(8)
    room.failed(8)
    goes_well(room, GOOD - 1)
    assert room.most == 4
    goes_well(room, 1)
    assert room.most == 8


def test_it_never_takes_more_than_the_detector_gains_from():
    room = Room(6)
    room.failed(6)
    goes_well(room, 3 * GOOD)
    assert room.most == 6


def test_batches_that_are_not_full_say_nothing_of_larger_ones():
    room = Room(8)
    room.failed(8)
    for _ in range(2 * GOOD):
        room.went_well(3)
    assert room.most == 4


def test_a_device_that_stays_small_is_tried_ever_less_often_within_a_bound():
    room, waits = Room(8), []
    room.failed(8)
    for _ in range(12):
        batches = 0
        while room.most == 4:
            goes_well(room, 1)
            batches += 1
        waits.append(batches)
        room.failed(8)
    assert waits[:4] == [GOOD, 2 * GOOD, 4 * GOOD, 8 * GOOD]
    assert waits[-1] == MOST_GOOD
