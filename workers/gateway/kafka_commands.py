"""Camera commands to Kafka: each by a producer of its own, as there are few, and confirmed or said not to be."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from vision_stream.errors import DependencyError
from vision_stream.kafka_client import client_options
from vision_stream.kafka_producers import dispose
from vision_stream.messages import CameraCommand, encode
from vision_stream.settings import KafkaSettings

CONFIRM_S = 5.0  # to connect, send and be confirmed. Longer: who asked has given up
DISPOSE_S = 2.0
HEADERS = [("content-type", b"application/json")]


class KafkaCommands:
    """A ``Keeper``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def put(self, command: CameraCommand) -> None:
        """Raises DependencyError: it was not confirmed in time."""
        await self._send(command.camera_id, encode(command))

    async def remove(self, camera_id: str) -> None:
        """Raises DependencyError: as ``put``."""
        await self._send(camera_id, None)

    async def _send(self, camera_id: str, value: bytes | None) -> None:
        producer = AIOKafkaProducer(
            **client_options(self._kafka), client_id="vision-stream-gateway", acks="all", enable_idempotence=True
        )
        topic = self._kafka.topics.camera_commands.name
        try:
            async with asyncio.timeout(CONFIRM_S):
                await producer.start()
                await producer.send_and_wait(topic, value, key=camera_id.encode(), headers=HEADERS)
        except (KafkaError, OSError, TimeoutError) as error:
            raise DependencyError(
                f"Kafka did not confirm the command within {CONFIRM_S:g} s",
                remedy="it may have arrived all the same: look at the cameras before you ask again",
                error_id="VS-101",
            ) from error
        finally:
            await dispose(producer, within_s=DISPOSE_S)
