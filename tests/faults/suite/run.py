"""One round: steady load, a fault, recovery measured, everything audited, everything committed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from tests.faults.harness import Findings, committed
from tests.faults.harness.world import WorkerEnded
from tests.faults.suite.ledger import Record, head, now, versions
from tests.faults.suite.plan import Round
from tests.faults.suite.row import Row
from tests.faults.suite.scene import Scene
from tests.waiting import eventually
from vision_stream.audit import check
from vision_stream.audit.reader import read
from vision_stream.errors import VisionStreamError
from vision_stream.simulators.llm.calls import Call

FAULT_WITHIN_S = 180.0
RECOVERED_WITHIN_S = 60.0
THROUGH_WITHIN_S = 60.0
COMMITTED_WITHIN_S = 20.0
ENDS_WITHIN_S = 30.0  # a worker that was asked to
BEFORE = (20, 60)  # detections of steady load: 1 to 3 s
ANSWERED = (0, 200)  # statuses of calls that cost: the client was gone, or got its answer


SECOND_OPINION = frozenset({"I1", "I2", "I3", "I5", "I6", "I7", "I10"})  # what a fault may not break


class RoundFailed(Exception):
    """Something is lost, wrong, or does not come back; says what."""


FAILURES = (AssertionError, TimeoutError, OSError, RoundFailed, WorkerEnded, VisionStreamError, KafkaError)


@dataclass
class Measured:
    """Seconds from the fault's end to the first new outcome, and until each camera had one; None: not in time."""

    first_s: float | None = None
    all_s: float | None = None


async def play(scene: Scene, row: Row, seed: int) -> Record:
    """Play a round; its record says in ``failed`` what went wrong. The scene is as new after a round that went well."""
    scene.begin(random.Random(f"{seed}/{row.name}"))
    before = _Counts(scene, await scene.llm_calls())
    measured, failed, fault_s = Measured(), "", 0.0
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    scene.cameras.resume()
    try:
        await scene.grown(scene.rng.randint(*BEFORE))
        began = time.monotonic()
        scene.event("fault")
        async with asyncio.timeout(FAULT_WITHIN_S):
            await row.fault(scene, scene.rng)
        fault_s = time.monotonic() - began
        scene.event("over")
        await _recover(scene, began + fault_s, measured)
        if row.mend is not None:
            await row.mend(scene)
        await _settle_workers(scene)
    except FAILURES as error:
        failed = f"{type(error).__name__}: {error}"
    try:
        await _come_through(scene, before.detections)
    except FAILURES as error:
        failed = "\n".join(filter(None, (failed, f"{type(error).__name__}: {error}")))
    found = before.found(scene)
    after = _Counts(scene, await _calls_or_none(scene))
    return Record(
        row=row.name,
        seed=seed,
        at=now(),
        seconds=round(time.monotonic() - scene.began, 1),
        fault_s=round(fault_s, 1),
        first_s=_rounded(measured.first_s),
        all_s=_rounded(measured.all_s),
        detections=found.detections,
        tasks=after.tasks - before.tasks,
        outcomes=dict(after.kinds - before.kinds),
        llm_repeated=max(0, after.repeated - before.repeated),
        lost=found.lost + len(found.out_of_order),
        failed=failed,
        events=scene.events,
        load=_rounded(load),
        commit=head(),
        versions=versions(),
    )


def not_begun(planned: Round, error: BaseException) -> Record:
    """Of a round whose scene did not come up."""
    return Record(
        row=planned.row.name,
        seed=planned.seed,
        at=now(),
        seconds=0.0,
        fault_s=0.0,
        first_s=None,
        all_s=None,
        detections=0,
        tasks=0,
        outcomes={},
        llm_repeated=0,
        lost=0,
        failed=f"before the fault: {type(error).__name__}: {error}",
        commit=head(),
        versions=versions(),
    )


async def audit_whole(scene: Scene) -> str:
    """All that was ever sent on this scene, again, and by ``vision_stream.audit``; says what is wrong, or nothing."""
    found = await scene.auditor.settled(scene.cameras.taken.values(), 5)
    if not found.clean:
        return str(found)
    if scene.auditor.planted or scene.auditor.may_be_partial:
        return ""  # findings of the second were meant
    report = check(await read(scene.settings), scene.settings)
    findings = [f"{f.invariant} {f.id}: {f.what}" for f in report.findings if f.invariant in SECOND_OPINION]
    return "; ".join(findings[:5]) + (f" and {len(findings) - 5} more" if len(findings) > 5 else "")


async def _recover(scene: Scene, ended: float, measured: Measured) -> None:
    """Wait until each camera had an outcome of a detection that was sent after the fault's end."""
    seen = len(scene.auditor.through)
    waiting = set(scene.cameras.camera_ids)

    def each_camera() -> bool:
        nonlocal seen
        checked = len(scene.auditor.through)
        for outcome in scene.outcomes_since(ended, seen):
            since = outcome.at - ended
            measured.first_s = since if measured.first_s is None else measured.first_s
            waiting.discard(outcome.camera_id)
            if not waiting and measured.all_s is None:
                measured.all_s = since
        seen = checked
        return not waiting

    with suppress(AssertionError):
        await eventually(each_camera, RECOVERED_WITHIN_S)
    if waiting:
        raise RoundFailed(f"no new outcome within {RECOVERED_WITHIN_S:g} s for {sorted(waiting)}")


async def _settle_workers(scene: Scene) -> None:
    """Who was asked to end has ended; all others take part."""
    for worker in scene.leaving:
        status = await worker.process.wait(within_s=ENDS_WITHIN_S)
        if status != 0 and not (status == -signal.SIGTERM and not worker.was_ready):  # it can die before it listens
            raise RoundFailed(f"{worker.name}, asked to end, has status {status}:\n{worker.process.tail(40)}")
    await scene.all_ready()


async def _come_through(scene: Scene, already: int) -> None:
    """No load; all that was sent has its outcome and join, and is committed to the end."""
    await scene.cameras.pause()
    found = await scene.auditor.settled(list(scene.cameras.taken.values())[already:], THROUGH_WITHIN_S)
    if not found.clean:
        raise RoundFailed(str(found))
    if left := await committed(scene.settings, COMMITTED_WITHIN_S, groups=scene.groups()):
        raise RoundFailed(f"not committed: {left}")


class _Counts:
    """Totals of a scene at a moment without load; a round's are the difference of two."""

    def __init__(self, scene: Scene, calls: list[Call]) -> None:
        auditor = scene.auditor
        self.detections = len(scene.cameras.taken)
        self.tasks = len(auditor.tasks)
        self.kinds: Counter[str] = Counter(auditor.kinds)
        # Calls that were answered, or that nobody was left to hear, beyond one for each verdict.
        self.repeated = sum(call.status in ANSWERED for call in calls) - len(auditor.heard)

    def found(self, scene: Scene) -> Findings:
        return scene.auditor.findings(list(scene.cameras.taken.values())[self.detections :])


async def _calls_or_none(scene: Scene) -> list[Call]:
    try:
        return await scene.llm_calls()
    except Exception:
        return []


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
