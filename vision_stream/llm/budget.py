"""Money: what a call may cost at most is booked before it is made, and corrected when its tokens are known.

A day is UTC's. A call that came to nothing at the provider is taken back; one that was given up is not, because
providers bill those.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from msgspec import Struct

from vision_stream import metrics
from vision_stream.llm.chat import Answer
from vision_stream.llm.spending import Books, DayBook
from vision_stream.settings import LLMSettings, PriceSettings

MILLION = 1_000_000
DAY_S = 86_400

_log = structlog.get_logger(__name__)


class Booked(Struct, frozen=True):
    book: DayBook
    camera_id: str
    model: str
    amount: float


class Budget:
    """The budget of config/api_keys.yaml; without one everything is allowed, and priced models are counted all the
    same."""

    def __init__(self, llm: LLMSettings, directory: Path | None, *, clock: Callable[[], float] = time.time) -> None:
        self._books, self._clock = Books(directory), clock
        self._said: set[tuple[str, str]] = set()  # (day, what)
        self.configure(llm)

    def configure(self, llm: LLMSettings) -> None:
        self._prices = {price.model: price for price in llm.prices}
        self._per_day, self._per_camera = llm.budget.per_day, llm.budget.per_camera_per_day
        self._max_output = llm.max_output_tokens

    def publish(self) -> None:
        metrics.llm_spent_today.set_function(lambda: self._book().total)

    def book(self, camera_id: str, model: str, input_tokens: int) -> Booked | None:
        """Book a call; None: it would go over the budget."""
        price = self._prices.get(model)
        if price is None:
            return Booked(self._book(), camera_id, model, 0.0)
        amount, book = _cost(price, input_tokens, self._max_output), self._book()
        over = book.add(camera_id, amount, self._per_day, self._per_camera)
        if over is None:
            return Booked(book, camera_id, model, amount)
        self._refuse(over, camera_id)
        return None

    def allows(self, camera_id: str, input_tokens: int) -> bool:
        """Whether a call by the cheapest model would be; a task that has no such hope need not wait for a key."""
        over = self._over(camera_id, input_tokens)
        if over is not None:
            self._refuse(over, camera_id)
        return over is None

    def has_room(self, camera_id: str, input_tokens: int) -> bool:
        """As ``allows``, where nothing is refused for it."""
        return self._over(camera_id, input_tokens) is None

    def _over(self, camera_id: str, input_tokens: int) -> str | None:
        if (self._per_day is None and self._per_camera is None) or not self._prices:
            return None
        least = min(_cost(price, input_tokens, self._max_output) for price in self._prices.values())
        return self._book().over(camera_id, least, self._per_day, self._per_camera)

    def settle(self, booked: Booked, answer: Answer) -> None:
        """What the answer cost; an endpoint that does not say how many tokens it took is booked as estimated."""
        price = self._prices.get(booked.model)
        if price is None and not booked.amount:
            return
        if price is None or not (answer.input_tokens or answer.output_tokens):
            metrics.llm_spend.labels(booked.model).inc(booked.amount)
            return
        cost = _cost(price, answer.input_tokens, answer.output_tokens)
        booked.book.correct(booked.camera_id, cost - booked.amount)
        metrics.llm_spend.labels(booked.model).inc(cost)

    def take_back(self, booked: Booked) -> None:
        """The provider refused the call, or never got it."""
        booked.book.correct(booked.camera_id, -booked.amount)

    def _book(self) -> DayBook:
        return self._books.of(self._day())

    def _day(self) -> str:
        return _named(int(self._clock() // DAY_S))

    def _refuse(self, over: str, camera_id: str) -> None:
        metrics.llm_over_budget.labels(over).inc()
        day = self._day()
        what = "all cameras" if over == "day" else camera_id
        if (day, what) not in self._said:
            self._said = {said for said in self._said if said[0] == day} | {(day, what)}
            _log.warning(
                "the LLM budget is spent until midnight UTC", of=what, remedy="raise llm.budget", error_id="VS-404"
            )


@functools.lru_cache(maxsize=2)
def _named(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * DAY_S))


def _cost(price: PriceSettings, input_tokens: int, output_tokens: int) -> float:
    return (input_tokens * price.input_per_million + output_tokens * price.output_per_million) / MILLION
