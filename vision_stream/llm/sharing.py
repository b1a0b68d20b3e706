"""Between a pool and the board that all schedulers share: epoch seconds there, monotonic seconds here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from vision_stream import metrics
from vision_stream.llm.cooldowns import ALL_KEYS, SHED_ROW, Cooldown, CooldownBoard, fingerprint, operator_row
from vision_stream.llm.pool import KeyPool
from vision_stream.settings import KeySettings

READ_EVERY_S = 0.05  # Sooner: a table read per call. Later: a key that another worker saw fail is called longer.

_log = structlog.get_logger(__name__)


class Sharing:
    """A board that fails costs what the others know, never a task."""

    def __init__(self, pool: KeyPool, keys: Mapping[str, KeySettings], board: CooldownBoard) -> None:
        self._pool, self._board = pool, board
        self._fingerprints: dict[str, str] = {}
        self._seen: dict[str, tuple[Cooldown | None, Cooldown | None]] = {}
        self._told_at: dict[str, float] = {}
        self._read_at = 0.0
        self._failing = False
        self._since = time.time()
        self.shed_below = 0  # tasks of a lower priority are not called, by an operator's word
        self.set_keys(keys)

    def set_keys(self, keys: Mapping[str, KeySettings]) -> None:
        """The keys of the pool have changed."""
        known, self._fingerprints = self._fingerprints, {key.id: _fingerprint(key) for key in keys.values()}
        self._told_at = {k: at for k, at in self._told_at.items() if self._fingerprints.get(k) == known.get(k)}
        self._seen.clear()
        self._read_at = 0.0

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` when others wrote; what is returned ends that."""

        def look_at_once() -> None:
            self._read_at = 0.0
            changed()

        return self._board.subscribe(look_at_once)

    def bring_in(self, now: float) -> None:
        """Merge what others wrote into the pool, at most every ``READ_EVERY_S``. ``now`` is monotonic seconds."""
        if now - self._read_at < READ_EVERY_S:
            return
        self._read_at = now
        try:
            known = dict(self._board.read())
        except Exception as error:
            return self._complain(error)
        self._failing = False
        self._shed(known.get(SHED_ROW))
        for key_id, mine in self._fingerprints.items():
            row, word = known.get(key_id), _word(known, key_id)
            if row is not None and row.fingerprint != mine:
                row = None  # another secret's
            if self._seen.get(key_id, (None, None)) != (row, word):
                self._seen[key_id] = row, word
                self._apply(key_id, row, word, now)

    def _shed(self, word: Cooldown | None) -> None:
        below = word.shed_below if word is not None else 0
        if below != self.shed_below:
            self.shed_below = below
            _log.warning("tasks are shed by an operator" if below else "tasks are shed no more", below=below)

    def _apply(self, key_id: str, row: Cooldown | None, word: Cooldown | None, now: float) -> None:
        if word is not None and word.disabled:
            if self._pool.disable(key_id, word.reason):
                _log.warning("API key is disabled by an operator", key=key_id)
            return
        said_at = word.at if word is not None else 0.0
        if row is not None and row.at > said_at:
            return self._apply_row(key_id, row, now)
        if said_at > self._told_at.get(key_id, 0.0):  # else a failure came after the operator's word
            if self._pool.status(key_id, now).state != "ready":
                _log.info("API key is enabled by an operator", key=key_id)
            self._pool.enable(key_id)

    def _apply_row(self, key_id: str, row: Cooldown, now: float) -> None:
        if row.at == self._told_at.get(key_id):
            return  # our own report
        if row.at >= self._since:
            metrics.key_news.observe(max(0.0, time.time() - row.at))
        if row.disabled:
            if self._pool.disable(key_id, row.reason):
                _log.error("API key is disabled, as another worker found", key=key_id, reason=row.reason)
            return
        later = row.at > self._told_at.get(key_id, 0.0)  # else it is what we had before we disabled the key
        if later and self._pool.status(key_id, now).state == "disabled":
            self._pool.enable(key_id)
            _log.info("API key is enabled again", key=key_id)
        # By the writer's own clock it lasts no longer than that, however wrong that clock is: an hour ahead, it would
        # keep the key from all others for an hour.
        left = min(row.until - time.time(), row.until - row.at)
        if left > 0:
            self._pool.cool_until(key_id, now + left, row.failures, row.reason, now=now, at_limit=row.at_limit)
        elif later and not row.failures:
            self._pool.recovered(key_id)

    def tell(self, key_id: str, now: float) -> None:
        """Write the pool's state of a key for the others."""
        if key_id not in self._fingerprints:
            return  # it went with a reload
        status, at = self._pool.status(key_id, now), time.time()
        cooldown = Cooldown(
            until=at + status.cooling_for_s if status.cooling_for_s else 0.0,
            failures=status.failures,
            disabled=status.state == "disabled",
            reason=status.reason,
            at_limit=status.at_limit,
            at=at,
            fingerprint=self._fingerprints[key_id],
        )
        self._told_at[key_id] = at
        try:
            self._board.write(key_id, cooldown)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("cooldowns are not shared for now", why=f"{type(error).__name__}: {error}")


def _word(known: Mapping[str, Cooldown], key_id: str) -> Cooldown | None:
    """The operator's, on this key or on all of them: one that disables before one that enables, then the later."""
    words = [word for of in (key_id, ALL_KEYS) if (word := known.get(operator_row(of))) is not None]
    return max(words, key=lambda word: (word.disabled, word.at), default=None)


def _fingerprint(key: KeySettings) -> str:
    return fingerprint(key.api_key.get_secret_value())
