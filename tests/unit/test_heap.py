"""What a burst leaves behind goes back to the system."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vision_stream.heap import give_back, keep_small

BLOCKS, SIZE = 20_000, 2_000  # 40 MB of rows


def own_kb() -> int:
    return int(re.findall(r"^Anonymous: +(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[0])


@pytest.mark.parametrize("change", [give_back, keep_small])
def test_elsewhere_than_on_linux_nothing_is_done(monkeypatch: pytest.MonkeyPatch, change):
    monkeypatch.setattr("sys.platform", "win32")
    change()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_rows_below_one_that_is_used_are_given_back():
    rows = [bytes(SIZE) for _ in range(BLOCKS)]
    kept = rows[-1]
    del rows
    before = own_kb()

    give_back()

    assert before - own_kb() > BLOCKS * SIZE / 1024 / 2
    assert len(kept) == SIZE


FETCHES = """
import sys, threading
from tests.unit.test_heap import own_kb
from vision_stream.heap import give_back, keep_small

if sys.argv[1] == "kept small":
    keep_small()
bytearray(30_000_000)  # glibc has seen a block that large, and sets its limits by it

def fetch():
    buffers = [bytearray(b"x" * 1_000_000) for _ in range(20)]

before = own_kb()
thread = threading.Thread(target=fetch)  # which has a heap of its own, as a Kafka consumer's has
thread.start()
thread.join()
give_back()
print(own_kb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_what_another_thread_fetched_goes_back_as_well():
    left_kb = {
        how: int(subprocess.check_output([sys.executable, "-c", FETCHES, how], text=True, timeout=30))
        for how in ("as glibc does", "kept small")
    }
    assert left_kb["as glibc does"] > 10_000  # or there would be nothing to do
    assert left_kb["kept small"] < 3_000
