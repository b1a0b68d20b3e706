"""I7 of key_cooldowns: the merge of what the workers saw of their calls, by API key.

The table has several writers. Each merges its own news into the row that it knows, and a row reaches all workers in
milliseconds. So a row may not fall behind what was there some seconds before it, and what it says must come from a
call.
"""

from __future__ import annotations

from collections.abc import Sequence

from vision_stream.audit.decoded import Decoded, Placed, place
from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Notes
from vision_stream.llm.cooldowns import Cooldown, merge
from vision_stream.settings import Settings
from vision_stream.simulators.llm.calls import Call

TABLE = "key_cooldowns"
REACHES_S = 10.0  # a row all workers; milliseconds, but for one that is frozen or recovers
SLACK_S = 5.0  # between a call's end at the provider and its row
REFUSED = 401
REFUSAL_KNOWN_S = 60.0


def check_cooldowns(facts: Facts, decoded: Decoded, settings: Settings, notes: Notes) -> None:
    if TABLE not in facts.topics:
        return notes.cannot("I7", f"the changelog of {TABLE} was not read")
    calls = _by_key(facts.calls) if facts.calls is not None else None
    reach_s = settings.llm.request_timeout_s + SLACK_S
    for key_id, rows in decoded.rows[TABLE].items():
        _check_merged(rows, notes)
        if calls is not None and ":" not in key_id:  # an operator's word comes from no call
            _check_called(key_id, rows, calls.get(key_id, []), reach_s, notes)
    if calls is not None:
        _check_refusals(facts, decoded, calls, notes)
    return None


def _check_merged(rows: Sequence[Placed[Cooldown]], notes: Notes) -> None:
    """Each row against the merge of those that its writer must have known."""
    known: Cooldown | None = None
    reached = 0
    for entry, row in rows:
        while rows[reached].entry.timestamp < entry.timestamp - REACHES_S:
            known = merge(known, rows[reached].message)
            reached += 1
        notes.checked["I7"] += 1
        if known is not None and _forgets(row, known):
            notes.find("I7", place(TABLE, entry), "forgets a cooldown or refusal that was there before it")


def _forgets(row: Cooldown, known: Cooldown) -> bool:
    """Does the row say less than what was known, without news that would allow it?"""
    if row.fingerprint != known.fingerprint:
        return False
    if row.at < known.at:
        return True
    works = row.failures == 0 and not row.disabled
    return not works and known.until > row.at and row.until < known.until


def _check_called(
    key_id: str, rows: Sequence[Placed[Cooldown]], calls: Sequence[Call], reach_s: float, notes: Notes
) -> None:
    first = min((call.at for call in calls), default=float("inf"))
    for entry, row in rows:
        if row.failures == 0 or row.at_limit:
            continue
        called = any(row.at - reach_s <= call.at <= row.at + SLACK_S for call in calls)
        if not called and (row.at > first or not calls):
            notes.find("I7", place(TABLE, entry), f"{key_id}: says that a call failed, and there was none")


def _check_refusals(facts: Facts, decoded: Decoded, calls: dict[str, list[Call]], notes: Notes) -> None:
    """A key that the provider refused is known as disabled a while later."""
    for key_id, made in calls.items():
        refused = [call.at for call in made if call.status == REFUSED]
        if not refused or max(refused) > facts.read_at - REFUSAL_KNOWN_S:
            continue
        notes.checked["I7"] += 1
        if not any(row.disabled for _, row in decoded.rows[TABLE].get(key_id, ())):
            notes.find("I7", key_id, f"was refused by its provider, and {TABLE} does not say so")


def _by_key(calls: Sequence[Call]) -> dict[str, list[Call]]:
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.key, []).append(call)
    return found
