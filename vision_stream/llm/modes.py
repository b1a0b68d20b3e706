"""Which form of answer each key's endpoint is asked for: the strictest that it has not refused."""

from __future__ import annotations

import structlog

from vision_stream.llm.chat import MODES, Mode

_log = structlog.get_logger(__name__)


class Modes:
    def __init__(self) -> None:
        self._modes: dict[str, Mode] = {}

    def of(self, key_id: str) -> Mode:
        return self._modes.get(key_id, MODES[0])

    def forget(self) -> None:
        """Other settings: endpoints may have changed."""
        self._modes.clear()

    def lower(self, key_id: str, refused: Mode) -> bool:
        """``refused`` is not supported: ask the next plainer way from now on. False where there is none."""
        position = MODES.index(refused) + 1
        if position == len(MODES):
            return False
        if MODES.index(self.of(key_id)) < position:  # else another call has found out already
            self._modes[key_id] = MODES[position]
            _log.info("endpoint refuses a form of answer", key=key_id, refused=refused, now=MODES[position])
        return True
