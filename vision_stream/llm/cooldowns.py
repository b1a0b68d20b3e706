"""What the schedulers tell each other about their keys: who is cooling until when, who is disabled.

Each scheduler's own pool is the authority on what it saw itself; what others saw is merged in by maximum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from vision_stream.messages import Count, Epoch, Text, Word


class Cooldown(Struct, frozen=True, kw_only=True):
    """One key's state as of ``at``. ``reason`` is for the operator and holds no secret."""

    until: Epoch = 0.0  # cooling until then; in the past: not cooling
    failures: Count = 0  # in a row
    disabled: bool = False  # the provider refused the key itself
    reason: Text = ""
    at: Epoch
    at_limit: bool = False  # it waits for room in its own limit, which is soon
    fingerprint: Word = ""  # of the secret that was used: another secret under the same id is another key
    shed_below: Annotated[int, Meta(ge=0, le=100)] = 0  # in ``SHED_ROW`` alone: below it, no call


ALL_KEYS = "*"  # instead of an id: the operator's word on all of them
SHED_ROW = "shed:operator"  # the operator's word on tasks by their priority; no id of a key has a colon


def operator_row(key_id: str) -> str:
    """Where an operator's word on a key stands: apart, so that no worker's report can overwrite it.

    It is about the id, whatever its secret. ``disabled`` holds until a later word; one that enables voids what the
    key's own row said before.
    """
    return f"operator:{key_id}"  # no id of a key has a colon


class Listeners:
    """Who wants to know when a board changes."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def add(self, changed: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def tell(self) -> None:
        for changed in tuple(self._listeners):
            changed()


class CooldownBoard(Protocol):
    """Shared by all schedulers; both methods are quick, and may be called on the event loop."""

    def read(self) -> Mapping[str, Cooldown]:
        """The cooldowns by key id."""
        ...

    def write(self, key_id: str, cooldown: Cooldown) -> None: ...

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` on the event loop after each change, whoever made it; what is returned ends that."""
        ...


class MemoryCooldowns:
    """A board for the schedulers of one process."""

    def __init__(self) -> None:
        self._cooldowns: dict[str, Cooldown] = {}
        self._listeners = Listeners()

    def read(self) -> Mapping[str, Cooldown]:
        return self._cooldowns

    def write(self, key_id: str, cooldown: Cooldown) -> None:
        self._cooldowns[key_id] = merge(self._cooldowns.get(key_id), cooldown)
        self._listeners.tell()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        return self._listeners.add(changed)


def merge(known: Cooldown | None, new: Cooldown) -> Cooldown:
    """The longer cooldown and the later word on ``disabled``.

    The later alone counts where it is of another secret, or says that the key works (no failures).

    >>> a, b = Cooldown(until=20.0, failures=2, at=5.0), Cooldown(until=15.0, failures=1, at=6.0)
    >>> merge(a, b).until, merge(a, b) == merge(b, a)
    (20.0, True)
    """
    if known is None:
        return new
    first, last = sorted((known, new), key=lambda cooldown: (cooldown.at, cooldown.until, cooldown.disabled))
    works = last.failures == 0 and not last.disabled
    if works or first.fingerprint != last.fingerprint:
        return last
    longer = max(first, last, key=lambda cooldown: cooldown.until)
    return Cooldown(
        until=longer.until,
        failures=max(first.failures, last.failures) if longer.until > last.at else last.failures,
        disabled=last.disabled,
        reason=last.reason if last.disabled else longer.reason,
        at_limit=longer.at_limit,
        at=last.at,
        fingerprint=last.fingerprint,
    )


def fingerprint(secret: str) -> str:
    """Tells one secret from another, and tells nothing else: 32 bits of a keyed hash.

    >>> fingerprint("sk-one") == fingerprint("sk-one"), fingerprint("sk-one") == fingerprint("sk-two")
    (True, False)
    """
    return hashlib.blake2b(secret.encode(), digest_size=4, person=b"vision-stream").hexdigest()
