"""config/api_keys.yaml changed while a scheduler runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from structlog.testing import capture_logs

from tests.waiting import eventually
from vision_stream.config import load_with_places
from vision_stream.llm.reloading import following
from vision_stream.settings import LLMSettings


def write(directory: Path, *key_ids: str, more: str = "") -> None:
    lines = [f"  - {{id: {key_id}, api_key: sk-canary-{key_id}}}" for key_id in key_ids]
    new = directory / "new"
    new.write_text("\n".join(["keys:", *lines, more]))
    new.replace(directory / "api_keys.yaml")  # as an editor does


@asynccontextmanager
async def followed(directory: Path) -> AsyncIterator[list[LLMSettings]]:
    taken: list[LLMSettings] = []
    async with following(partial(load_with_places, directory, environ={}), taken.append):
        await asyncio.sleep(0.3)  # the watcher says nothing when it begins to watch
        yield taken


def ids(settings: LLMSettings) -> list[str]:
    return [key.id for key in settings.keys]


async def test_a_changed_file_is_taken_over(tmp_path):
    write(tmp_path, "a")
    async with followed(tmp_path) as taken:
        write(tmp_path, "a", "b")
        await eventually(lambda: taken, within_s=5)
    assert [ids(settings) for settings in taken] == [["a", "b"]]


async def test_an_invalid_file_keeps_the_old_keys_and_says_why_without_a_secret(tmp_path):
    write(tmp_path, "a")
    with capture_logs() as logs:
        async with followed(tmp_path) as taken:
            write(tmp_path, "a", "a")
            await eventually(lambda: [log for log in logs if "invalid" in log["event"]], within_s=5)
            assert taken == []
            write(tmp_path, "c")
            await eventually(lambda: taken, within_s=5)
    (said,) = [log for log in logs if "invalid" in log["event"]]
    assert "a, as in keys[0]" in said["why"]
    assert "canary" not in str(logs)
    assert ids(taken[0]) == ["c"]


async def test_a_file_that_says_the_same_changes_nothing(tmp_path):
    write(tmp_path, "a")
    async with followed(tmp_path) as taken:
        write(tmp_path, "a", more="# a comment")
        write(tmp_path, "b")
        await eventually(lambda: taken, within_s=5)
    assert [ids(settings) for settings in taken] == [["b"]]
