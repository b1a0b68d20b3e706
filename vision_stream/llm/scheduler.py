"""A task in, exactly one outcome out: assessed, expired or failed, with the reason.

    picture  ->  prompt  ->  wait for a key  ->  call  ->  verdict
                                 ^                 | the key's failure: another key, until attempts or time are spent
                                 +-----------------+ a misfit: once more

One deadline bounds it all: the task's own, or ``call_deadline_s`` from the moment it came, whichever is first. What
a failure means for the key is decided in ``reports``, what it means for the task here.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from vision_stream import metrics
from vision_stream.errors import ConfigError
from vision_stream.llm.budget import Booked, Budget
from vision_stream.llm.calls import Call
from vision_stream.llm.chat import Answer, Request
from vision_stream.llm.client import AiohttpClient, VisionClient
from vision_stream.llm.cooldowns import CooldownBoard
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.hedging import Hedges
from vision_stream.llm.learned_limits import LearnedDirectory
from vision_stream.llm.limits import KeyLimits
from vision_stream.llm.modes import Modes
from vision_stream.llm.pictures import NoPicture, picture_of
from vision_stream.llm.pool import KeyPool, Lease, PooledKey, alone, pool_of, pooled, share_of
from vision_stream.llm.prompts import Prompt, prompt_for
from vision_stream.llm.reports import Reports
from vision_stream.llm.run import Run, always
from vision_stream.llm.shared_limits import LimitsDirectory
from vision_stream.llm.sharing import Sharing
from vision_stream.llm.silence import Flight, Listening
from vision_stream.llm.tokens import estimated
from vision_stream.llm.verdict import AnswerMisfit, Verdict, parse_verdict
from vision_stream.llm.waiting import RoomFull, WaitingRoom
from vision_stream.messages import AssessmentTask, GroupAssessment, StoredEvidence
from vision_stream.metric_notes import note
from vision_stream.redaction import register_secret
from vision_stream.settings import KeySettings, LLMSettings, SchedulerSettings
from vision_stream.stores import EvidenceStore

if TYPE_CHECKING:
    from vision_stream.llm.redis_limits import RedisLimits
    from vision_stream.stores.redis_link import RedisLink

OVER_BUDGET = "budget"
SILENT = "silent"  # the result of a call that was given up while its key said nothing
UNBILLED = frozenset({"unauthorized", "rate_limited", "server", "unavailable", "unsupported", "bad_request"})

_log = structlog.get_logger(__name__)


class LLMScheduler:
    """``await start()``, then ``assess`` as often and as concurrently as wanted, then ``await close()``."""

    def __init__(
        self,
        llm: LLMSettings,
        scheduler: SchedulerSettings,
        evidence: EvidenceStore,
        cooldowns: CooldownBoard,
        *,
        client: Callable[[], VisionClient] = AiohttpClient,
        limits_dir: Path | None = None,
        redis: RedisLink | None = None,
    ) -> None:
        """``limits_dir`` is where all processes of this host count each key's calls together, ``redis`` where those of
        all hosts do; ``llm.limits_backend`` says which of them counts. None: this process alone."""
        self._llm, self._settings, self._evidence = llm, scheduler, evidence
        self._keys = {key.id: key for key in llm.keys if key.enabled}
        self._make_client = client
        self._limits_dir = limits_dir
        self._shared = self._limits_in(redis)
        self.pool: KeyPool = pool_of(llm, limits=self._limits())
        self._sharing = Sharing(self.pool, self._keys, cooldowns)
        self._reports = Reports(self.pool, self._sharing)
        self._modes = Modes()
        self._budget = Budget(llm, limits_dir)
        self._hedges = Hedges()
        self._listening = Listening(self._worth_another)
        self._open: Counter[str] = Counter()  # calls under way, by task id
        self._client: VisionClient | None = None
        self._room: WaitingRoom | None = None
        self._said_no_keys = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def _limits(self) -> Callable[[PooledKey], KeyLimits]:
        configured = self._configured_limits()
        if not self._llm.learn_limits:
            return configured
        apart = self._shared is not None or self._llm.limits_backend == "local"
        share = self._llm.limits_share if apart else 1.0
        learned = LearnedDirectory(self._limits_dir, jitter_s=self._llm.limit_jitter_s, share=share)
        return lambda key: configured(key) if key.limited else learned(key)

    def _configured_limits(self) -> Callable[[PooledKey], KeyLimits]:
        jitter_s = self._llm.limit_jitter_s
        if self._shared is not None:
            return self._shared.limits
        if self._llm.limits_backend == "local":
            return functools.partial(share_of, share=self._llm.limits_share, jitter_s=jitter_s)
        if self._limits_dir is None:
            return functools.partial(alone, jitter_s=jitter_s)
        return LimitsDirectory(self._limits_dir, jitter_s=jitter_s)

    def _limits_in(self, redis: RedisLink | None) -> RedisLimits | None:
        if self._llm.limits_backend in ("file", "local"):
            return None
        if redis is None:
            if self._llm.limits_backend == "redis":
                raise ConfigError("llm.limits_backend is redis, but Redis is off", remedy="set ALGO_ENABLE_REDIS=true")
            return None
        from vision_stream.llm.redis_limits import RedisLimits  # for those who have one

        return RedisLimits(redis, jitter_s=self._llm.limit_jitter_s, share=self._llm.limits_share)

    async def start(self) -> None:
        self._register_secrets()
        self._client = self._make_client()
        self._room = WaitingRoom(
            self.pool,
            self._settings.max_concurrent_tasks,
            worth_calling_for=self._reports.worth_calling_for,
            before=self._sharing.bring_in,
            blocked=self._reports.note_blocked,
            reserver=self._shared,
        )
        if self._shared is not None:
            self._shared.changed = self._relimit
            await self._shared.start()
        self._reports.publish(self._keys)
        self._budget.publish()
        self._unsubscribe = self._sharing.subscribe(self._look_soon)
        self._room.look()

    def _relimit(self) -> None:
        self.pool.relimit(self._limits())
        self._look_soon()

    def _look_soon(self) -> None:
        """Not at once: it may be a report of our own that changed the board, and that is not at its end yet."""
        if self._room is not None:
            asyncio.get_running_loop().call_soon(self._look, self._room)

    def _look(self, room: WaitingRoom) -> None:
        room.look()
        if self.shed_below:
            room.turn_away(self.shed_below)

    def reload(self, llm: LLMSettings) -> None:
        """Use other settings from now on. Calls in flight end as they would have, waiting tasks see the new keys."""
        self._llm = llm
        self._keys = {key.id: key for key in llm.keys if key.enabled}
        self._said_no_keys = False
        self._register_secrets()
        cooling = llm.cooling
        self.pool.reconfigure(
            pooled(llm),
            llm.selection_strategy,
            cooling.min_cooldown,
            cooling.max_cooldown,
            self._limits(),
            now=time.monotonic(),
        )
        self._modes.forget()
        self._budget.configure(llm)
        self._sharing.set_keys(self._keys)
        self._listening.keep(self._keys)
        self._reports.publish(self._keys)
        if self._room is not None:
            self._room.look()

    def _register_secrets(self) -> None:
        for key in self._keys.values():
            register_secret(key.api_key.get_secret_value())

    @property
    def shed_below(self) -> int:
        """Tasks of a lower priority are not called; 0: all are."""
        return self._sharing.shed_below

    def hand_back(self) -> None:
        """The process ends: calls under way go on, tasks that wait for a key are cancelled."""
        if self._room is not None:
            self._room.shut()

    async def close(self) -> None:
        self._unsubscribe()
        self._listening.close()
        await self._hedges.close()
        if self._room is not None:
            await self._room.close()
        if self._shared is not None:
            await self._shared.close()
        if self._client is not None:
            await self._client.close()

    async def assess(self, task: AssessmentTask, wanted: Callable[[], Awaitable[None]] = always) -> GroupAssessment:
        """The task's one outcome. Raises nothing but ``CancelledError``, which gives back what it held.

        After a call that failed the next is made when ``wanted()`` returns: as soon as somebody waits for the outcome.
        """
        run = Run(task, self._settings.call_deadline_s, wanted)
        try:
            return await self._assess(run)
        except Exception as error:
            _log.exception("a task failed by a fault of ours", task=task.task_id)
            return run.failed(f"internal error: {type(error).__name__}")

    async def _assess(self, run: Run) -> GroupAssessment:
        if not self._keys:
            return self._without_keys(run)
        self._sharing.bring_in(time.monotonic())
        if run.task.priority < self.shed_below:
            return run.shed()
        if run.left() <= 0:
            return run.expired("the deadline had passed when the task came")
        try:
            picture = await self._picture(run)
        except NoPicture as reason:
            return run.failed(str(reason))
        except TimeoutError:
            return run.expired("the deadline passed while the picture was fetched")
        return await self._judge(run, prompt_for(run.task, picture))

    async def _picture(self, run: Run) -> bytes | None:
        picture = picture_of(run.task, self._evidence, required=self._llm.require_picture)
        if not isinstance(run.task.group.evidence, StoredEvidence):
            return await picture  # there is nothing to wait for
        async with asyncio.timeout(run.left()):
            return await picture

    def _without_keys(self, run: Run) -> GroupAssessment:
        if not self._said_no_keys:
            self._said_no_keys = True
            remedy = "add one to config/api_keys.yaml, or set OPENAI_API_KEY"
            _log.error("no API keys configured", remedy=remedy, error_id="VS-403")
        return run.failed("no API keys configured: add one to config/api_keys.yaml, or set OPENAI_API_KEY")

    async def _judge(self, run: Run, prompt: Prompt) -> GroupAssessment:
        outcome: GroupAssessment | None = None
        run.estimate = estimated(prompt)
        while outcome is None:
            if run.called and not await self._wanted(run):
                return run.late()
            if not self._budget.allows(run.task.camera_id, run.estimate):
                return run.expired(OVER_BUDGET)
            lease = await self._lease(run)
            outcome = self._unserved(run) if lease is None else await self._hedged(run, prompt, lease)
        return outcome

    async def _wanted(self, run: Run) -> bool:
        """False: nobody was there to wait for the outcome before the deadline."""
        try:
            async with asyncio.timeout(run.left()):
                await run.wanted()
        except TimeoutError:
            return False
        return True

    def _unserved(self, run: Run) -> GroupAssessment:
        return run.shed() if run.task.priority < self.shed_below else run.late()

    async def _hedged(self, run: Run, prompt: Prompt, lease: Lease) -> GroupAssessment | None:
        after_s = self._reports.unusually_long() if self._llm.hedging else None
        if after_s is None:
            return await self._call(run, prompt, lease)

        def second(other: Run) -> Coroutine[Any, Any, GroupAssessment | None] | None:
            assert self._room is not None
            spare = self._room.lease_now(run.estimate + self._llm.max_output_tokens, but=lease.key_id)
            return None if spare is None else self._call(other, prompt, spare)

        return await self._hedges.race(run, self._call(run, prompt, lease), after_s, second)

    async def _lease(self, run: Run) -> Lease | None:
        assert self._room is not None, "start() first"
        began = time.monotonic()
        try:
            return await self._room.lease(run.task.priority, run.limit, run.estimate + self._llm.max_output_tokens)
        except RoomFull:
            run.note("too many tasks wait for an API key")
            return None
        finally:
            note(metrics.llm_wait.observe, time.monotonic() - began)

    async def _call(self, run: Run, prompt: Prompt, lease: Lease) -> GroupAssessment | None:
        """One call; None: it is worth another."""
        assert self._room is not None, "start() first"
        key = self._keys.get(lease.key_id)
        if key is None or not self.pool.current(lease):  # a reload came between
            self.pool.release(lease, time.monotonic())
            self._room.ended()
            return None
        booked = self._budget.book(run.task.camera_id, key.model, run.estimate)
        if booked is None:
            self.pool.release(lease, time.monotonic())
            self._room.ended()
            return run.expired(OVER_BUDGET)
        request = Request(
            prompt=prompt,
            model=key.model,
            mode=self._modes.of(key.id),
            max_output_tokens=self._llm.max_output_tokens,
        )
        with Call(run, key, request.max_output_tokens) as call:
            return await self._made(run, key, request, lease, booked, call)

    async def _made(
        self, run: Run, key: KeySettings, request: Request, lease: Lease, booked: Booked, call: Call
    ) -> GroupAssessment | None:
        assert self._client is not None, "start() first"
        assert self._room is not None, "start() first"
        settled = False  # what became of the lease
        run.begin(key)
        self._open[run.task.task_id] += 1
        flight = self._listening.begin(lease, run)
        try:
            timeout_s = max(0.001, min(self._llm.request_timeout_s, run.left()))
            with flight:
                answer = await self._client.complete(
                    key, request, timeout_s=timeout_s, sent=functools.partial(self._room.sent, lease)
                )
            run.end()
            settled = True
            call.answered(answer)
            self._listening.answered(flight)
            self._budget.settle(booked, answer)
            self._reports.answered(lease, answer, run.latency())
        except CallFailed as failure:
            run.end()
            settled = True
            call.failed(failure)
            self._listening.failed(flight, failure)
            if failure.kind in UNBILLED:
                self._budget.take_back(booked)
            return self._after_failure(run, lease, request, failure)
        except TimeoutError:
            if not flight.expired:
                raise
            run.end()
            settled = True
            call.result = SILENT
            run.give_up(lease.key_id)
            self._reports.abandoned(lease, SILENT)
            return None
        finally:
            self._listening.end(flight)
            self._note_end(run.task.task_id)
            if not settled:
                self._reports.abandoned(lease)
            self._room.ended()
        outcome = self._after_answer(run, call, key.id, answer)
        self._reports.count(key.id, call.result)
        return outcome

    def _worth_another(self, flight: Flight) -> bool:
        """Whether a call that hangs can be made again at once: the last of ``max_attempts`` gets all its time."""
        run, key, now = flight.run, flight.lease.state, time.monotonic()
        tokens = run.estimate + self._llm.max_output_tokens
        return (
            run.failures + 1 < self._llm.max_attempts
            and run.left() > self._reports.worth_calling_for(False)
            and (key is None or key.free_at(now, tokens) <= now)
            and self._budget.has_room(run.task.camera_id, run.estimate)
        )

    def calling(self, task_id: str) -> bool:
        """Is a call under way for this task?"""
        return task_id in self._open

    def _note_end(self, task_id: str) -> None:
        if self._open[task_id] > 1:
            self._open[task_id] -= 1
        else:
            del self._open[task_id]

    def _after_failure(self, run: Run, lease: Lease, request: Request, failure: CallFailed) -> GroupAssessment | None:
        """What a failed call means for the task; None: another call is worth making."""
        if failure.kind == "unsupported" and self._modes.lower(lease.key_id, request.mode):
            self._reports.innocent(lease, "unsupported")
            return None
        run.note(f"{lease.key_id}: {failure.what}")
        if failure.kind == "timeout" and not self._reports.longer_than_usual(
            run.latency(), self._llm.request_timeout_s
        ):
            self._reports.abandoned(lease, "timeout")
            return run.late()
        if failure.kind in ("bad_request", "unsupported"):
            self._reports.innocent(lease, failure.kind)
            return run.failed(f"the endpoint refused the request: {failure.what}")
        if failure.kind == "server" and run.blame(lease.key_id):
            self._reports.blamed_on_request(lease, run.server_errors)
            return run.failed(f"two keys answered with a server error, so it is the request: {failure.what}")
        self._reports.failed(lease, failure)
        if failure.kind not in ("rate_limited", "unauthorized"):  # those cost nothing, and the key leaves the pool
            run.failures += 1
        return run.spent() if run.failures >= self._llm.max_attempts else None

    def _after_answer(self, run: Run, call: Call, key_id: str, answer: Answer) -> GroupAssessment | None:
        """The verdict in an answer; None: it does not fit, and is asked once more."""
        run.add_tokens(answer)
        if answer.finish_reason == "content_filter":
            call.result = "refused"
            return run.failed("the endpoint's content filter refused the picture or the answer")
        try:
            verdict = self._verdict(run, answer)
        except AnswerMisfit as misfit:
            call.result, call.why = "misfit", misfit.what
            run.note(f"{key_id}: {misfit.what}")
            run.misfits += 1
            return run.spent() if run.misfits > 1 else None
        call.result = "ok"
        return run.assessed(verdict)

    def _verdict(self, run: Run, answer: Answer) -> Verdict:
        if answer.finish_reason == "length":
            raise AnswerMisfit("the answer was cut at max_output_tokens")
        verdict = parse_verdict(answer.content, frozenset(run.task.group.members))
        if verdict.unknown_ids:
            _log.debug("ids that the group does not have were dropped", task=run.task.task_id, n=verdict.unknown_ids)
        return verdict
