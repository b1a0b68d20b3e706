"""One LLM call as an operator sees it: a line of the log, and a span of the trace. Neither holds a key or a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from vision_stream import logs, tracing
from vision_stream.llm.chat import Answer
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.run import Run
from vision_stream.settings import KeySettings

if TYPE_CHECKING:
    from vision_stream.tracing.spans import LLMCall

_log = structlog.get_logger(__name__, logs.OFTEN)


class Call:
    """What is known of it so far. Its ``with`` block is the call; when that ends, however it does, one line says what
    came of it."""

    def __init__(self, run: Run, key: KeySettings, max_output_tokens: int) -> None:
        self.result = "cancelled"  # as the metric counts it: ok, misfit, refused, or the kind of failure
        self.answer: Answer | None = None
        self.why: str | None = None
        self._run, self._key = run, key
        self._tracing = tracing.llm_call(key.id, key.model, key.base_url, max_output_tokens)
        self._span: LLMCall | None = None

    def __enter__(self) -> Call:
        self._span = self._tracing.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._span is not None:
            self._span.ended(self.result)
        self._say()
        self._tracing.__exit__(*error)

    def answered(self, answer: Answer) -> None:
        self.answer = answer
        if self._span is not None:
            self._span.answered(answer)

    def failed(self, failure: CallFailed) -> None:
        self.result, self.why = failure.kind, failure.what

    def _say(self) -> None:
        answer, task = self.answer, self._run.task
        more = {"why": self.why} if self.why else {}
        _log.info(
            "LLM call",
            outcome=self.result,
            key=self._key.id,
            latency_s=round(self._run.latency(), 3),
            input_tokens=answer.input_tokens if answer else 0,
            output_tokens=answer.output_tokens if answer else 0,
            task=task.task_id,
            request_id=task.request_id,
            **more,
        )
