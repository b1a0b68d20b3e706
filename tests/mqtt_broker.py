"""A real mosquitto on a free port, and a client that remembers what it was told."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt

from tests.conftest import find_mosquitto
from vision_stream.server_process import free_ports
from vision_stream.settings import MqttSettings


class MqttBroker:
    """Of one test. What it keeps (retained) is gone when it stops."""

    def __init__(self, directory: Path, *, user: str = "", password: str = "", certificates: Any = None) -> None:
        """``certificates``: with ``ca``, ``server`` and ``server_key`` as paths; none: no TLS."""
        self.directory = directory
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", "log_dest none", "persistence false", "user root"]
        if user:
            passwords = directory / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, user, password], check=True)
            lines += ["allow_anonymous false", f"password_file {passwords}"]
        else:
            lines += ["allow_anonymous true"]
        if certificates is not None:
            lines += [f"certfile {certificates.server}", f"keyfile {certificates.server_key}"]
        (directory / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        self._process = subprocess.Popen(
            [find_mosquitto() or "mosquitto", "-c", str(self.directory / "mosquitto.conf")]
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def settings(self, **more: Any) -> MqttSettings:
        return MqttSettings.model_validate({"enabled": True, "host": "127.0.0.1", "port": self.port, **more})


class Listener:
    """What a home automation would know: the newest of each topic, and all messages of each."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.all: dict[str, list[bytes]] = {}

    def text(self, topic: str) -> str | None:
        return self.all[topic][-1].decode() if topic in self.all else None

    def values(self, topic: str) -> list[Any]:
        return [json.loads(payload) for payload in self.all.get(topic, ())]

    async def listen(self) -> None:
        async for message in self.client.messages:
            self.all.setdefault(message.topic.value, []).append(bytes(message.payload))


@asynccontextmanager
async def listening(
    port: int, *, user: str | None = None, password: str | None = None, ca: str | None = None
) -> AsyncIterator[Listener]:
    tls = ssl.create_default_context(cafile=ca) if ca is not None else None
    async with aiomqtt.Client("127.0.0.1", port, username=user, password=password, tls_context=tls) as client:
        await client.subscribe("#", qos=1)
        listener = Listener(client)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(listener.listen())
            try:
                yield listener
            finally:
                task.cancel()
