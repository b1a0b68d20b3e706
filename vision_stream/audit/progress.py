"""I12 and I13: does each process get on, and did each camera during a fault? Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vision_stream.audit.decoded import Decoded, Placed
from vision_stream.audit.facts import Facts, Look, Window
from vision_stream.audit.findings import Notes
from vision_stream.gating import CameraGate
from vision_stream.messages import Detection, Overdue

STALLED_S = 30.0  # without progress while something waits


class Wait(NamedTuple):
    """Something came, and was done; epoch seconds."""

    arrived: float
    done: float  # infinity: not yet


def check_processes(facts: Facts, notes: Notes) -> None:
    """I12: a process that answers runs its loops, and handles what waits for it."""
    if facts.looks is None:
        return notes.cannot("I12", "no process was asked (--process)")
    for process, looks in facts.looks.items():
        if not looks:
            notes.cannot("I12", f"{process} did not answer")
            continue
        notes.checked["I12"] += 1
        last = looks[-1]
        for loop, beat in last.beats.items():
            if last.at - beat > STALLED_S:
                notes.find("I12", process, f"lives, and its {loop} loop has stood for {last.at - beat:.0f} s")
        if idle_s := _idle_s(looks):
            what = f"lives, and has done nothing for {idle_s:.0f} s, while {last.behind:.0f} messages wait"
            notes.find("I12", process, what)
        elif last.at - looks[0].at < STALLED_S:
            notes.cannot("I12", "whether what waits is handled: looks over 30 s are needed (--follow, --watch)")
    return None


def _idle_s(looks: Sequence[Look]) -> float:
    """For how long something has waited and nothing was done; 0.0 where that is less than ``STALLED_S``."""
    last, since = looks[-1], looks[-1].at
    for look in reversed(looks):
        if look.behind <= 0 or look.done != last.done:
            break
        since = look.at
    return last.at - since if last.at - since >= STALLED_S else 0.0


def check_cameras(facts: Facts, decoded: Decoded, notes: Notes) -> None:
    """I13: no camera waits long for its next step, from a fault's begin to its end."""
    if facts.fault is None:
        return notes.cannot("I13", "not told when a fault was (--fault)")
    detections, tasks = decoded.by_camera("detection_results"), decoded.by_camera("assessment_tasks")
    outcomes, rows = decoded.by_camera("risk_assessment_results"), decoded.rows["camera_state"]
    longest = 0.0
    for camera_id in sorted(detections if facts.untouched is None else detections.keys() & facts.untouched):
        notes.checked["I13"] += 1
        gated = _gated(detections[camera_id], rows.get(camera_id, ()))
        judged = _judged(tasks.get(camera_id, ()), outcomes.get(camera_id, ()))
        for step, waits in (("its gate", gated), ("its outcomes", judged)):
            stall_s = longest_stall(list(waits), facts.fault)
            longest = max(longest, stall_s)
            if stall_s > STALLED_S:
                notes.find(
                    "I13", camera_id, f"{step} stood for {stall_s:.0f} s during the fault, while something waited"
                )
    notes.counts["longest_stall_ms"] = round(longest * 1000)
    return None


def longest_stall(waits: Sequence[Wait], window: Window) -> float:
    """The longest time within ``window`` in which something waited and nothing was done, in seconds.

    >>> longest_stall([Wait(0, 1), Wait(2, 9), Wait(8, 10)], Window(0, 20))
    7.0
    """
    waits = [wait for wait in waits if wait.arrived < window.end and wait.done > window.begin]
    done = sorted({window.begin, *(wait.done for wait in waits if wait.done < window.end), window.end})
    longest = 0.0
    for before, after in itertools.pairwise(done):
        waiting = [wait.arrived for wait in waits if wait.arrived < after <= wait.done]
        if waiting:
            longest = max(longest, after - max(before, min(waiting)))
    return float(longest)


def _gated(detections: Sequence[Placed[Detection]], rows: Sequence[Placed[CameraGate]]) -> Iterator[Wait]:
    """Detections, until the camera's row has seen them."""
    at = 0
    for entry, detection in detections:
        while at < len(rows) and not _has_seen(rows[at].message, detection):
            at += 1
        yield Wait(entry.timestamp, rows[at].entry.timestamp if at < len(rows) else float("inf"))


def _has_seen(row: CameraGate, detection: Detection) -> bool:
    if row.session == detection.session:
        return row.sequence >= detection.sequence
    return detection.session in row.past_sessions


def _judged(tasks: Sequence[Placed[Any]], outcomes: Sequence[Placed[Any]]) -> Iterator[Wait]:
    """Tasks, until their outcome."""
    done: dict[str, float] = {}
    for entry, outcome in outcomes:
        if not isinstance(outcome, Overdue):
            done.setdefault(outcome.task_id, entry.timestamp)
    for entry, task in tasks:
        yield Wait(entry.timestamp, done.get(task.task_id, float("inf")))
