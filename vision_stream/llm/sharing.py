"""Between a pool and the board that all schedulers share: epoch seconds there, monotonic seconds here."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog

from vision_stream.llm.cooldowns import Cooldown, CooldownBoard, fingerprint
from vision_stream.llm.pool import KeyPool
from vision_stream.settings import KeySettings

READ_EVERY_S = 0.05  # Sooner: a table read per call. Later: a key that another worker saw fail is called longer.

_log = structlog.get_logger(__name__)


class Sharing:
    """A board that fails costs what the others know, never a task."""

    def __init__(self, pool: KeyPool, keys: Mapping[str, KeySettings], board: CooldownBoard) -> None:
        self._pool, self._board = pool, board
        self._fingerprints = {key.id: fingerprint(key.api_key.get_secret_value()) for key in keys.values()}
        self._seen: dict[str, tuple[float, float, bool]] = {}
        self._told_at: dict[str, float] = {}
        self._read_at = 0.0
        self._failing = False

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
        for key_id, cooldown in known.items():
            seen = (cooldown.at, cooldown.until, cooldown.disabled)
            if self._fingerprints.get(key_id) == cooldown.fingerprint and self._seen.get(key_id) != seen:
                self._seen[key_id] = seen
                self._apply(key_id, cooldown, now)

    def _apply(self, key_id: str, cooldown: Cooldown, now: float) -> None:
        if cooldown.disabled:
            if self._pool.disable(key_id, cooldown.reason):
                _log.error("API key is disabled, as another worker found", key=key_id, reason=cooldown.reason)
            return
        later = cooldown.at > self._told_at.get(key_id, 0.0)  # else it is what we had before we disabled the key
        if later and self._pool.status(key_id, now).state == "disabled":
            self._pool.enable(key_id)
            _log.info("API key is enabled again", key=key_id)
        left = cooldown.until - time.time()
        if left > 0:
            self._pool.cool_until(key_id, now + left, cooldown.failures, cooldown.reason)

    def tell(self, key_id: str, now: float) -> None:
        """Write the pool's state of a key for the others."""
        status, at = self._pool.status(key_id, now), time.time()
        cooldown = Cooldown(
            until=at + status.cooling_for_s if status.cooling_for_s else 0.0,
            failures=status.failures,
            disabled=status.state == "disabled",
            reason=status.reason,
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
