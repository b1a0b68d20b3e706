"""How many cores a process may use, also in a container."""

from __future__ import annotations

import doctest
import os

import pytest

from vision_stream import cores


@pytest.mark.parametrize(
    ("cpu_max", "allowed", "usable"),
    [
        ("max 100000", 8, 8),
        ("150000 100000", 8, 2),
        ("5000 100000", 8, 1),
        ("1600000 100000", 8, 8),
        ("", 8, 8),
        ("nonsense", 8, 8),
    ],
    ids=["no quota", "one and a half", "a twentieth", "more than there are", "empty", "unreadable"],
)
def test_a_container_has_what_its_quota_is_worth(tmp_path, monkeypatch, cpu_max, allowed, usable):
    (tmp_path / "cpu.max").write_text(cpu_max)
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
    assert cores.usable_cores() == usable


def test_without_cgroups_it_is_what_the_scheduler_allows(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "CGROUP", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert cores.usable_cores() == 3


def test_the_examples_in_the_docs_hold():
    assert doctest.testmod(cores).failed == 0
