"""What a burst leaves behind goes back to the system."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from vision_stream.heap import give_back

BLOCKS, SIZE = 20_000, 2_000  # 40 MB of rows


def own_kb() -> int:
    return int(re.findall(r"^Anonymous: +(\d+)", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)[0])


def test_giving_back_does_nothing_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.platform", "win32")
    give_back()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_freed_rows_below_one_that_is_used_are_given_back():
    rows = [bytes(SIZE) for _ in range(BLOCKS)]
    kept = rows[-1]
    del rows
    before = own_kb()

    give_back()

    assert before - own_kb() > BLOCKS * SIZE / 1024 / 2
    assert len(kept) == SIZE
