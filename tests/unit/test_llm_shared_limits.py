"""Limits that several processes of a host keep together, some of which are killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import eventually
from tests.windows import most_in_a_window
from vision_stream.llm.limits import PENDING_S
from vision_stream.llm.pool import KeyPool, Lease, PooledKey, WaitForReport, WaitUntil
from vision_stream.llm.shared_limits import LimitsDirectory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="shared limits need flock and a boot id")

# Reserves as fast as it may, and writes down when each request would have gone out.
HAMMER = """
import sys, time
from pathlib import Path
from vision_stream.llm.pool import KeyPool, Lease, PooledKey
from vision_stream.llm.shared_limits import LimitsDirectory
directory, seconds, qps = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
pool = KeyPool([PooledKey(id="a", qps_limit=qps), PooledKey(id="b", qps_limit=qps)], limits=LimitsDirectory(directory))
print("ready", flush=True)
end = time.monotonic() + seconds
while (now := time.monotonic()) < end:
    lease = pool.acquire(now)
    if isinstance(lease, Lease):
        sent = time.monotonic()
        pool.report_sent(lease, sent)
        print(lease.key_id, sent, flush=True)
        pool.report_answered(lease, sent)
    else:
        time.sleep(0.002)
"""


@contextmanager
def hammers(directory: Path, count: int, *, seconds: float, qps: int) -> Iterator[list[subprocess.Popen[str]]]:
    command = [sys.executable, "-c", HAMMER, str(directory), str(seconds), str(qps)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def sent(process: subprocess.Popen[str]) -> list[tuple[str, float]]:
    output, _ = process.communicate(timeout=60)
    lines = [line.split() for line in output.splitlines() if line != "ready"]
    return [(line[0], float(line[1])) for line in lines if len(line) == 2]


def a_pool(directory: Path, **limits) -> KeyPool:
    return KeyPool([PooledKey(id="key-001", **limits)], limits=LimitsDirectory(directory), min_cooldown=5.0)


def take(pool: KeyPool, now: float) -> Lease:
    lease = pool.acquire(now)
    assert isinstance(lease, Lease)
    return lease


@pytest.mark.parametrize("processes", [1, 4])
async def test_together_the_processes_use_what_is_allowed_and_no_window_holds_more(tmp_path, processes):
    with hammers(tmp_path, processes, seconds=3.0, qps=50) as running:
        calls = [
            call for found in await asyncio.gather(*(asyncio.to_thread(sent, p) for p in running)) for call in found
        ]
    for key in ("a", "b"):
        times = [at for key_id, at in calls if key_id == key]
        assert most_in_a_window(times, 1.0) <= 50
        assert len(times) >= 0.97 * 50 * 3 - 50  # the last window may have begun just before the end


async def test_a_process_that_is_killed_takes_no_lock_with_it(tmp_path):
    with hammers(tmp_path, 2, seconds=30.0, qps=1000) as running:
        for process in running:
            assert process.stdout is not None
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
            os.kill(process.pid, signal.SIGKILL)
        for process in running:
            await asyncio.to_thread(process.wait, 10)
    pool = KeyPool([PooledKey(id="a", qps_limit=1000)], limits=LimitsDirectory(tmp_path))
    await eventually(lambda: isinstance(pool.acquire(time.monotonic()), Lease), within_s=3.0)


# Reserves until it has had its part, with some calls always under way, some failing; counts in a file, as it may be
# killed.
LEAKER = """
import mmap, os, random, sys, time
from pathlib import Path
from vision_stream.llm import limits
limits.PENDING_S = float(sys.argv[4])
from vision_stream.llm.pool import KeyPool, Lease, PooledKey
from vision_stream.llm.shared_limits import LimitsDirectory
directory, counter, part = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
keys = [PooledKey(id=f"k{n}", qps_limit=10_000, max_concurrent=20) for n in range(4)]
pool, held = KeyPool(keys, limits=LimitsDirectory(directory), min_cooldown=0.001, max_cooldown=0.01), []
with open(counter, "r+b") as file:
    count = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
while count[0] < part:
    now = time.monotonic()
    lease = pool.acquire(now)
    if isinstance(lease, Lease):
        count[0] += 1
        held.append(lease)
    if len(held) > 15 or (held and not isinstance(lease, Lease)):
        ended = held.pop(random.randrange(len(held)))
        (pool.report_failed if random.random() < 0.001 else pool.report_answered)(ended, now)
    elif not isinstance(lease, Lease):
        time.sleep(0.001)
os._exit(0)  # with what it holds
"""
RESERVATIONS = int(os.environ.get("VISION_STREAM_RESERVATIONS", "30000"))  # 1000000 takes a minute or two


async def test_reservations_of_processes_that_are_killed_leak_no_slot(tmp_path):
    processes, pending_s = 4, 0.3
    counters = [tmp_path / f"count-{n}" for n in range(processes)]
    for counter in counters:
        counter.write_bytes(bytes(8))
    part = str(RESERVATIONS // processes)

    def start(counter: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", LEAKER, str(tmp_path), str(counter), part, str(pending_s)])

    rng, running, kills = random.Random(1), {counter: start(counter) for counter in counters}, 0
    while running:
        await asyncio.sleep(0.1)
        for counter, process in list(running.items()):
            if process.poll() is not None:
                assert process.returncode in (0, -signal.SIGKILL)
                del running[counter]
                if process.returncode:
                    running[counter] = start(counter)
            elif rng.random() < 0.05:
                process.kill()
                kills += 1
    assert all(int.from_bytes(counter.read_bytes(), sys.byteorder) >= int(part) for counter in counters)
    await asyncio.sleep(pending_s + 1.1)
    pool = KeyPool([PooledKey(id=f"k{n}", qps_limit=10_000) for n in range(4)], limits=LimitsDirectory(tmp_path))
    now = time.monotonic()
    free = sum(isinstance(pool.acquire(now), Lease) for _ in range(4 * 10_000))
    assert free == 4 * 10_000
    assert not isinstance(pool.acquire(now), Lease)
    seated = [PooledKey(id=f"k{n}", max_concurrent=20) for n in range(4)]
    pool = KeyPool(seated, limits=LimitsDirectory(tmp_path))
    now = time.monotonic()
    assert all(isinstance(pool.acquire(now), Lease) for _ in range(4 * 20))  # and no seat is left taken


# Takes a seat and says so, then holds it.
HOLDER = """
import sys, time
from pathlib import Path
from vision_stream.llm.pool import KeyPool, Lease, PooledKey
from vision_stream.llm.shared_limits import LimitsDirectory
pool = KeyPool([PooledKey(id="key-001", max_concurrent=1)], limits=LimitsDirectory(Path(sys.argv[1])))
if sys.argv[2] == "probe":
    now = time.monotonic()
    pool.cool_until("key-001", now + 0.001, 1, "", now=now)
    time.sleep(0.002)
assert isinstance(pool.acquire(time.monotonic()), Lease)
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("what", ["seat", "probe"])
async def test_a_process_that_is_killed_gives_its_seat_and_its_probe_back(tmp_path, what):
    pool = a_pool(tmp_path, max_concurrent=2 if what == "probe" else 1)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), what], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        if what == "probe":
            pool.cool_until("key-001", time.monotonic(), 1, "", now=time.monotonic())
        now = time.monotonic()
        assert pool.acquire(now) == WaitUntil(at=now + 0.02)
        holder.kill()
        await asyncio.to_thread(holder.wait, 10)
        await eventually(lambda: isinstance(pool.acquire(time.monotonic()), Lease), within_s=1.0)
    finally:
        holder.kill()
        holder.communicate()


def test_calls_under_way_are_limited_over_all_processes_and_one_that_ends_frees_its_seat(tmp_path):
    one, other = a_pool(tmp_path, max_concurrent=2), a_pool(tmp_path, max_concurrent=2)
    held = [take(one, now=100.0), take(other, now=100.0)]
    assert one.acquire(100.0) == WaitUntil(at=100.02)  # nobody tells us when the other's ends
    other.report_answered(held[1], now=100.3)
    held.append(take(one, now=100.4))
    assert one.acquire(100.4) == WaitForReport("key-001")  # all are our own
    assert other.acquire(100.4) == WaitUntil(at=100.42)


def test_a_changed_max_concurrent_counts_the_calls_under_way(tmp_path):
    one, other = a_pool(tmp_path, max_concurrent=2), a_pool(tmp_path, qps_limit=50, max_concurrent=3)
    for _ in range(2):
        take(one, now=100.0)
    take(other, now=100.0)
    assert isinstance(other.acquire(100.0), WaitUntil)


def test_one_process_probes_a_cooled_key_and_the_others_hear_what_became_of_it(tmp_path):
    one, other = a_pool(tmp_path), a_pool(tmp_path)
    for pool in (one, other):
        pool.cool_until("key-001", 100.0, 1, "", now=95.0)
    probe = take(one, now=100.0)
    assert probe.probe
    assert other.acquire(100.0) == WaitUntil(at=100.02)
    one.report_failed(probe, now=100.5)
    rests_until = one.acquire(100.5)
    assert isinstance(rests_until, WaitUntil)
    assert other.acquire(100.5) == rests_until  # though no board has told it
    again = take(other, now=rests_until.at)
    assert again.probe
    other.report_answered(again, now=rests_until.at + 0.1)
    assert [take(pool, rests_until.at + 0.2).probe for pool in (one, other)] == [False, False]


def test_a_probe_that_said_nothing_leaves_the_probing_to_the_next(tmp_path):
    one, other = a_pool(tmp_path), a_pool(tmp_path)
    for pool in (one, other):
        pool.cool_until("key-001", 100.0, 1, "", now=95.0)
    one.release(take(one, now=100.0), now=100.1)
    assert take(other, now=100.1).probe


def test_what_one_reserves_the_other_does_not_get(tmp_path):
    one, other = a_pool(tmp_path, rpm_limit=2), a_pool(tmp_path, rpm_limit=2)
    for pool in (one, other):
        lease = pool.acquire(100.0)
        assert isinstance(lease, Lease)
        pool.report_sent(lease, now=100.0)
    assert one.acquire(100.1) == other.acquire(100.1) == WaitUntil(at=160.6)


def test_anothers_request_that_is_not_on_its_way_yet_is_looked_at_again_soon(tmp_path):
    one, other = a_pool(tmp_path, qps_limit=1), a_pool(tmp_path, qps_limit=1)
    lease = one.acquire(100.0)
    assert isinstance(lease, Lease)
    assert other.acquire(100.0) == WaitUntil(at=100.02)
    one.report_sent(lease, now=100.3)
    assert other.acquire(100.4) == WaitUntil(at=101.325)


def test_a_reservation_of_a_process_that_died_comes_free_by_itself(tmp_path):
    a_pool(tmp_path, qps_limit=1).acquire(100.0)
    survivor = a_pool(tmp_path, qps_limit=1)
    assert isinstance(survivor.acquire(100.0 + PENDING_S + 0.5), WaitUntil)
    assert isinstance(survivor.acquire(100.0 + PENDING_S + 1.1), Lease)


def test_another_secret_or_endpoint_under_the_same_id_counts_for_itself(tmp_path):
    shared = LimitsDirectory(tmp_path)
    key, elsewhere = PooledKey(id="k", qps_limit=1), PooledKey(id="k", qps_limit=1, base_url="http://other/v1")
    for limits in (shared(key, "aa"), shared(key, "bb"), shared(elsewhere, "aa")):
        assert limits.reserve(100.0) is not None
    assert shared(key, "aa").reserve(100.0) is None
