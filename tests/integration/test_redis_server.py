from __future__ import annotations

import os
import shutil
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError

from vision_stream import redis_server
from vision_stream.errors import ConfigError, DependencyError
from vision_stream.redis_server import RedisServer, find, find_bundled

pytestmark = pytest.mark.redis


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


@pytest.fixture(params=["of the PATH", "of the wheel"])
def executable(request: pytest.FixtureRequest) -> Path:
    if request.param == "of the wheel":
        found = find_bundled()
        assert found is not None
        return found
    on_path = shutil.which("redis-server")
    if on_path is None:
        if os.environ.get("CI"):
            pytest.fail("CI skips nothing, but there is no redis-server on the PATH")
        pytest.skip("there is no redis-server on the PATH")
    return Path(on_path)


async def test_it_answers_and_leaves_nothing_behind(executable: Path):
    async with RedisServer(executable=executable) as server, client_of(server.url) as client:
        await client.set("a", "1")
        assert await client.get("a") == b"1"
        folder = Path(str((await client.config_get("dir"))["dir"]))

    assert not server.running
    assert not folder.exists()


async def test_without_a_directory_a_kill_empties_it(executable: Path):
    async with RedisServer(executable=executable) as server:
        url = server.url
        async with client_of(url) as client:
            await client.set("a", "1")
        server.kill()
        await server.restart()

        assert server.url == url
        async with client_of(url) as client:
            assert await client.get("a") is None


async def test_with_a_directory_it_keeps_what_was_written(executable: Path, tmp_path: Path):
    async with RedisServer(data_dir=tmp_path, executable=executable) as server, client_of(server.url) as client:
        await client.set("a", "1")
    async with RedisServer(data_dir=tmp_path, executable=executable) as server, client_of(server.url) as client:
        assert await client.get("a") == b"1"


async def test_a_password_is_wanted_and_seen_by_nobody(executable: Path, tmp_path: Path):
    password = 'p"\\ #@/'
    async with RedisServer(data_dir=tmp_path, password=password, executable=executable) as server:
        async with client_of(server.url) as client:
            assert await client.ping()
        async with client_of(f"redis://127.0.0.1:{server.port}") as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.ping()
        arguments = Path(f"/proc/{server.pid}/cmdline").read_text()

    assert password not in arguments
    assert stat.S_IMODE((tmp_path / "redis.conf").stat().st_mode) == 0o600


async def test_a_server_that_ends_by_itself_is_explained_by_its_log(tmp_path: Path):
    (tmp_path / "appendonly.aof").write_text("not a log of Redis")
    (tmp_path / "appendonlydir").write_text("not a directory")
    with pytest.raises(DependencyError, match="Redis ended with status 1"):
        await RedisServer(data_dir=tmp_path).start()


def test_the_path_comes_first_and_the_wheel_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    own = tmp_path / "redis-server"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find() == own

    own.unlink()
    assert find() == find_bundled()


def test_no_redis_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "find_bundled", lambda: None)
    with pytest.raises(ConfigError) as refused:
        find()
    assert "vision-stream[demo]" in refused.value.remedy
