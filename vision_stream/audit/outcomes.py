"""I2 and I11: each task has its outcome, and the outcome is the task's own."""

from __future__ import annotations

from collections import defaultdict

from vision_stream.audit.decoded import Decoded
from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Notes
from vision_stream.messages import AssessmentTask, GroupAssessment, Overdue, outcome_name, without_picture


def check_outcomes(facts: Facts, decoded: Decoded, notes: Notes) -> None:
    outcomes: dict[str, list[GroupAssessment]] = defaultdict(list)
    for _, message in decoded.messages["risk_assessment_results"]:
        if not isinstance(message, Overdue):
            outcomes[message.task_id].append(message)
    tasks: dict[str, list[AssessmentTask]] = defaultdict(list)
    for entry, task in decoded.messages["assessment_tasks"]:
        tasks[task.task_id].append(task)
        if task.task_id in outcomes:
            continue
        if facts.is_committed("assessment_tasks", entry):
            notes.find("I2", task.task_id, "is committed, and has no outcome")
        else:
            notes.pending["tasks"] += 1
    notes.checked["I2"] += len(tasks)
    notes.repeats["assessment_tasks"] += sum(map(len, tasks.values())) - len(tasks)
    _check_belonging(facts, tasks, outcomes, notes)
    _count_repeats(outcomes, notes)


def _check_belonging(
    facts: Facts,
    tasks: dict[str, list[AssessmentTask]],
    outcomes: dict[str, list[GroupAssessment]],
    notes: Notes,
) -> None:
    begin = facts.begin("assessment_tasks", "detection_results")
    for task_id, found in outcomes.items():
        if task_id not in tasks:
            if found[0].times.captured_at > begin:
                notes.find("I2", task_id, "an outcome, and no task of it")
            continue
        for outcome in found:
            if all(_differs(outcome, task) for task in tasks[task_id]):
                field = _differs(outcome, tasks[task_id][0])
                notes.find("I2", task_id, f"its outcome has another {field}: it is not of this task")


def _differs(outcome: GroupAssessment, task: AssessmentTask) -> str:
    """The first field by which an outcome is not its task's; empty where it is."""
    for field in ("request_id", "camera_id", "group_count", "deadline"):
        if getattr(outcome, field) != getattr(task, field):
            return field
    if outcome.times.captured_at != task.times.captured_at:
        return "captured_at"
    return "group" if outcome.group != without_picture(task.group) else ""


def _count_repeats(outcomes: dict[str, list[GroupAssessment]], notes: Notes) -> None:
    """An outcome that comes again is passed over by the join; what it cost was paid twice."""
    for found in outcomes.values():
        kind = outcome_name(found[0])
        notes.counts[kind] += 1
        notes.repeats["risk_assessment_results"] += len(found) - 1
        notes.repeats["llm_calls"] += sum(outcome.attempts for outcome in found[1:])
        # Two handlers of one task may have told of the same call (``llm.outliving``), to the last digit of its times.
        different = [outcome for number, outcome in enumerate(found) if outcome not in found[:number]]
        notes.counts["llm_calls_of_outcomes"] += sum(outcome.attempts for outcome in different)
        notes.checked["I11"] += 1
