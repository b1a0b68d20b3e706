"""The agents' modules, with "this task's worker" where Faust's app was."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog

from tests.simulation.worker import Table, here
from vision_stream.delivery import Outbox
from vision_stream.settings import Settings


class _App:
    """The app as outboxes, rows and timers know it."""

    rebalancing = False
    tables = SimpleNamespace(actives_ready=True)

    def __init__(self, settings: Settings, stores: Any) -> None:
        self.settings = settings
        self.stores = SimpleNamespace(get=lambda: stores)

    @property
    def producer(self) -> Any:
        return here.get().producer

    def owns(self, name: str, camera_id: str) -> bool:
        return here.get().owns(name, camera_id)


class _Locks:
    def hold(self, key: Any) -> AbstractAsyncContextManager[None]:
        return here.get().locks.hold(key)


class _Ticked(MutableMapping[Any, float]):
    def __getitem__(self, key: Any) -> float:
        return here.get().ticked[key]

    def __setitem__(self, key: Any, value: float) -> None:
        here.get().ticked[key] = value

    def __delitem__(self, key: Any) -> None:
        del here.get().ticked[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(here.get().ticked)

    def __len__(self) -> int:
        return len(here.get().ticked)


class Agents:
    """The agents' modules while they are patched."""

    def __init__(self) -> None:
        from agents import llm_scheduler, result_aggregator, task_generator
        from tables import camera_state, pending_assessments

        self.generator, self.scheduler, self.aggregator = task_generator, llm_scheduler, result_aggregator
        self.tables: dict[str, ModuleType] = {"camera_state": camera_state, "pending_assessments": pending_assessments}

    def by_topic(self) -> dict[str, Any]:
        return {
            "detection_results": self.generator.task_generator,
            "camera_assessments": self.generator.verdict_learner,
            "assessment_tasks": self.scheduler.llm_scheduler,
            "risk_assessment_results": self.aggregator.result_aggregator,
        }

    def tick(self) -> Any:
        """The timer's function, without Faust's loops around it."""
        return inspect.unwrap(self.aggregator.tick_overdue)


@contextmanager
def patched(settings: Settings, stores: Any) -> Iterator[Agents]:
    """For one simulation; topics are named as our settings call them."""
    agents, app = Agents(), _App(settings, stores)
    swaps: list[tuple[Any, str, Any]] = [
        (agents.generator, "tasks", Outbox(app, "assessment_tasks")),  # pyright: ignore[reportArgumentType]
        (agents.generator, "one_a_camera", _Locks()),
        (agents.generator, "settings", settings),
        (agents.scheduler, "results", Outbox(app, "risk_assessment_results")),  # pyright: ignore[reportArgumentType]
        (agents.scheduler, "judging", SimpleNamespace(get=lambda: (here.get().scheduler, here.get().calls))),
        (agents.scheduler, "settings", settings),
        (agents.aggregator, "outcomes", Outbox(app, "risk_assessment_results")),  # pyright: ignore[reportArgumentType]
        (agents.aggregator, "assessments", Outbox(app, "camera_assessments")),  # pyright: ignore[reportArgumentType]
        (agents.aggregator, "_ticked", _Ticked()),
        (agents.aggregator, "app", app),
        (agents.aggregator, "settings", settings),
        (agents.tables["pending_assessments"], "app", app),
        *((module._rows, "_table", Table(name)) for name, module in agents.tables.items()),
        *((module._rows, "_decoded", {}) for module in agents.tables.values()),
    ]
    with ExitStack() as stack:
        for place, name, value in swaps:
            stack.enter_context(patch.object(place, name, value))
        before = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        stack.callback(structlog.configure, **before)
        yield agents
