"""The commands of the documents, run as they stand there: the blocks marked ``sh run``, on a real Kafka and Redis."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.documents import PAGES, ROOT, RUN, Block, blocks, name
from vision_stream import topics
from vision_stream.broker import KafkaBroker
from vision_stream.redis_server import RedisServer
from vision_stream.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.timeout(180)]
WITHIN_S = 120
TO_RUN = [block for page in PAGES for block in blocks(page) if block.info == RUN]


def environ(kafka: KafkaBroker, redis: RedisServer, directory: Path) -> dict[str, str]:
    """What a reader of the guide has set before the first of these commands."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(kafka.bootstrap_servers),
        "ALGO_REDIS_URL": redis.url,
        "ALGO_DATA_DIR": str(directory / "var"),
        "ALGO_GATEWAY_PORT": "0",
        "OPENAI_API_KEY": "sk-of-nobody",
    }


async def run(block: Block, environ: dict[str, str]) -> tuple[int | None, str]:
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euo", "pipefail", "-c", block.text,
        cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(WITHIN_S):
        output, _ = await shell.communicate()
    return shell.returncode, output.decode()


async def test_each_command_does_what_its_page_says(private_kafka, private_redis, tmp_path: Path):
    await topics.ensure(
        Settings.model_validate({"kafka": {"bootstrap_servers": private_kafka.bootstrap_servers}})
    )  # the pages are read in any order
    set_before = environ(private_kafka, private_redis, tmp_path)
    ended = {f"{name(block.page)}: {block.text}": await run(block, set_before) for block in TO_RUN}
    assert len(ended) >= 5
    assert not {command: output for command, (code, output) in ended.items() if code != 0}
