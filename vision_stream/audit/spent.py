"""I9: the books of the budget, against the tokens of outcomes (spent at least) and of the call log (at most).

A call is booked at what it may cost at most, and corrected once its tokens are known. A call that was given up, or
whose worker was killed before it had read the answer, or before it had sent the request, stays booked so.
"""

from __future__ import annotations

import calendar
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from vision_stream.audit.decoded import Decoded
from vision_stream.audit.facts import Facts
from vision_stream.audit.findings import Notes
from vision_stream.llm.spending import DayBook
from vision_stream.messages import GroupAssessment, Overdue
from vision_stream.settings import LLMSettings, PriceSettings, Settings

MILLION = 1_000_000
MIDNIGHT_S = 60.0  # a call so near to it may stand in either day's book
ROUNDING = 1e-6  # of a sum: doubles, added in another order
ANSWERED, GIVEN_UP = 200, 0


def check_books(facts: Facts, decoded: Decoded, settings: Settings, notes: Notes, *, strict: bool) -> None:
    """Args:
    strict: no worker was killed.
    """
    prices = {price.model: price for price in settings.llm.prices}
    if facts.books is None:
        return notes.cannot("I9", "no book of a budget was read (--books)")
    if not prices:
        return notes.cannot("I9", "no model has a price (config/api_keys.yaml: prices)")
    outcomes = [m for _, m in decoded.messages["risk_assessment_results"] if not isinstance(m, Overdue)]
    for day, books in facts.books.items():
        notes.checked["I9"] += 1
        _check_least(day, books.hosts, outcomes, prices, notes)
        if books.moved or any(notes.pending.values()):
            notes.cannot("I9", "what was booked at most: calls are under way (--settle)")
        else:
            unsent = 0 if strict else settings.kafka.scheduler.max_concurrent_tasks
            _check_most(day, books.hosts, outcomes, facts, settings.llm, prices, unsent, notes)
    return None


def _check_least(
    day: str,
    books: Sequence[DayBook],
    outcomes: Iterable[GroupAssessment],
    prices: Mapping[str, PriceSettings],
    notes: Notes,
) -> None:
    """What outcomes say that they took is booked, of each camera and of all."""
    least: dict[str, float] = defaultdict(float)
    for outcome in outcomes:
        at = outcome.times.called_at
        if at is not None and _day(at - MIDNIGHT_S) == _day(at + MIDNIGHT_S) == day:
            least[outcome.camera_id] += _least_cost(outcome, prices)
    total = sum(book.total for book in books)
    if total < sum(least.values()) * (1 - ROUNDING):
        notes.find("I9", day, f"booked are {total:.6g}, and outcomes took at least {sum(least.values()):.6g}")
    for camera_id, amount in sorted(least.items()):
        booked = sum(book.of(camera_id) for book in books)
        if booked < amount * (1 - ROUNDING):
            notes.find("I9", camera_id, f"{day}: booked are {booked:.6g}, and outcomes took at least {amount:.6g}")


def _check_most(
    day: str,
    books: Sequence[DayBook],
    outcomes: Iterable[GroupAssessment],
    facts: Facts,
    llm: LLMSettings,
    prices: Mapping[str, PriceSettings],
    unsent: int,
    notes: Notes,
) -> None:
    """No more is booked than the calls of the log can have cost, and ``unsent`` that a kill can have kept from it."""
    if facts.calls is None:
        return notes.cannot("I9", "what was booked at most: no call log was given (--llm-calls)")
    if facts.begin("risk_assessment_results") > _midnight(day):
        return notes.cannot("I9", "what was booked at most: the day began before what was read (--since)")
    calls = [call for call in facts.calls if day in (_day(call.at - MIDNIGHT_S), _day(call.at + MIDNIGHT_S))]
    answered = [call for call in calls if call.status == ANSWERED and call.model in prices]
    unread = len(calls) - sum(outcome.attempts for outcome in outcomes)
    uncertain = sum(call.status <= GIVEN_UP for call in calls) + max(0, unread) + unsent
    longest = max((call.input_tokens for call in facts.calls), default=0)
    most = sum(_cost(prices[call.model], call.input_tokens, call.output_tokens) for call in answered)
    most += uncertain * max(_cost(price, 2 * longest, llm.max_output_tokens) for price in prices.values())
    total = sum(book.total for book in books)
    if total > most * (1 + ROUNDING):
        notes.find("I9", day, f"booked are {total:.6g}, and the calls made cost {most:.6g} at most")
    return None


def _least_cost(outcome: GroupAssessment, prices: Mapping[str, PriceSettings]) -> float:
    """By its own model, if it was asked once; else an earlier call may have been another model's."""
    if outcome.attempts > 1 or outcome.model not in prices:
        return min(_cost(price, outcome.input_tokens, outcome.output_tokens) for price in prices.values())
    return _cost(prices[outcome.model], outcome.input_tokens, outcome.output_tokens)


def _cost(price: PriceSettings, input_tokens: int, output_tokens: int) -> float:
    return (input_tokens * price.input_per_million + output_tokens * price.output_per_million) / MILLION


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def _midnight(day: str) -> float:

    return float(calendar.timegm(time.strptime(day, "%Y-%m-%d")))
