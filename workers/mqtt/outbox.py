"""What the broker has not been told yet: bounded, and nobody waits to put something in.

Of what the broker keeps (retained) only the newest of a topic is worth sending. Of news the oldest is dropped where
there is too much. Nothing is gone before the broker has confirmed it, so that news may come twice and not never.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from msgspec import Struct

MAX_TOPICS = 100_000  # kept ones; at 20 a camera 5,000 cameras


class Message(Struct, frozen=True):
    topic: str
    payload: bytes
    retain: bool
    number: int = 0  # of news


class Outbox:
    def __init__(self, *, max_news: int) -> None:
        self._kept: dict[str, bytes] = {}  # as the broker should have it; empty: as good as not there
        self._unsent: dict[str, None] = {}  # topics of these, in the order of sending
        self._news: OrderedDict[int, Message] = OrderedDict()
        self._max_news = max_news
        self._count = 0
        self.dropped = 0
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._unsent) + len(self._news)

    def keep(self, topic: str, payload: bytes) -> None:
        """The broker should keep ``payload``; nothing to do where it does."""
        if self._kept.get(topic) == payload or (topic not in self._kept and len(self._kept) >= MAX_TOPICS):
            return
        self._kept[topic] = payload
        self._unsent[topic] = None
        self._filled.set()

    def forget(self, topic: str) -> None:
        """The broker should keep nothing there, whether it does or not."""
        self._kept.pop(topic, None)
        self.keep(topic, b"")

    def tell(self, topic: str, payload: bytes) -> bool:
        """Send it once; returns whether older news was dropped for it."""
        self._count += 1
        self._news[self._count] = Message(topic, payload, False, self._count)
        full = len(self._news) > self._max_news
        if full:
            self._news.popitem(last=False)
            self.dropped += 1
        self._filled.set()
        return full

    def resend(self, *, last: str) -> int:
        """All that is to be kept is to be sent again, ``last`` after everything else; returns how many topics."""
        self._unsent = {topic: None for topic in self._kept if topic != last}
        if last in self._kept:
            self._unsent[last] = None
        self._filled.set()
        return len(self._unsent)

    async def next(self, limit: int) -> list[Message]:
        """Wait for something to send; at most ``limit`` of each kind, oldest first. It stays here until ``sent``."""
        while not len(self):
            self._filled.clear()
            await self._filled.wait()
        topics = [topic for topic, _ in zip(self._unsent, range(limit), strict=False)]
        news = [message for message, _ in zip(self._news.values(), range(limit), strict=False)]
        return [*(Message(topic, self._kept[topic], True) for topic in topics), *news]

    def sent(self, message: Message) -> None:
        """The broker has it."""
        if not message.retain:
            self._news.pop(message.number, None)
        elif self._kept.get(message.topic) == message.payload:
            self._unsent.pop(message.topic, None)
            if not message.payload:
                del self._kept[message.topic]
