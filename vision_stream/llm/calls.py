"""One LLM call as an operator sees it: a line of the log, and a span of the trace. Neither holds a key or a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from vision_stream import tracing
from vision_stream.llm.chat import Answer
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.run import Run
from vision_stream.settings import KeySettings

if TYPE_CHECKING:
    from vision_stream.tracing.spans import LLMCall

_log = structlog.get_logger(__name__)


class Call:
    """What is known of it so far."""

    def __init__(self, span: LLMCall | None) -> None:
        self.result = "cancelled"  # as the metric counts it: ok, misfit, refused, or the kind of failure
        self.answer: Answer | None = None
        self.why: str | None = None
        self._span = span

    def answered(self, answer: Answer) -> None:
        self.answer = answer
        if self._span is not None:
            self._span.answered(answer)

    def failed(self, failure: CallFailed) -> None:
        self.result, self.why = failure.kind, failure.what

    def end(self) -> None:
        if self._span is not None:
            self._span.ended(self.result)


@contextmanager
def told(run: Run, key: KeySettings, max_output_tokens: int) -> Iterator[Call]:
    """The block is one call; when it ends, however it does, one line says what came of it."""
    with tracing.llm_call(key.id, key.model, key.base_url, max_output_tokens) as span:
        call = Call(span)
        try:
            yield call
        finally:
            call.end()
            _say(run, key, call)


def _say(run: Run, key: KeySettings, call: Call) -> None:
    answer = call.answer
    more = {"why": call.why} if call.why else {}
    _log.info(
        "LLM call",
        outcome=call.result,
        key=key.id,
        latency_s=round(run.latency(), 3),
        input_tokens=answer.input_tokens if answer else 0,
        output_tokens=answer.output_tokens if answer else 0,
        task=run.task.task_id,
        request_id=run.task.request_id,
        **more,
    )
