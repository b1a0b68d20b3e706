"""``python -m workers.capture`` as a user runs it: a process, its output, its exit code."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import SettingsMaker, in_ci
from tests.films import two_cars_driving, write_film
from tests.waiting import eventually
from vision_stream import topics
from vision_stream.settings import Settings

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")  # Debian's package opencv-doc
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def capture(*args: str, **environ: str) -> AsyncIterator[Process]:
    """The command, running; killed at the end if it still does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALGO_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.capture", *args),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env={**clean, "ALGO_MONITORING_PROMETHEUS_PORT": "0", **environ},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(*args: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    async with capture(*args, **environ) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def vtest() -> str:
    if not VTEST.exists():
        if in_ci():
            pytest.fail(f"CI skips nothing, but {VTEST} is absent (Debian's package opencv-doc)", pytrace=False)
        pytest.skip("vtest.avi is absent (Debian's package opencv-doc)")
    return str(VTEST)


@pytest.fixture
def film(tmp_path: Path) -> str:
    return str(write_film(tmp_path / "film.avi", two_cars_driving(20), fps=10))


# --- a film ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["onnx", pytest.param("ultralytics", marks=pytest.mark.ultralytics)])
async def test_a_real_video_is_looked_at_to_its_end(detector: str, vtest: str):
    code, out, err = await run("--source", vtest, "--fps", "1", "--detector", detector, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["detector"] == detector
    assert report["cameras"][0]["frames"] == 80  # 79.5 s
    assert {"objects_by_label", "groups", "seconds", "inference_ms_mean"} <= set(report["cameras"][0])


async def test_what_was_found_is_said_in_words(film: str):
    code, out, err = await run("--camera", "yard", "--source", film, "--fps", "10")
    assert code == 0, err
    assert f"yard: 20 frames of {film}" in out
    assert "groups" in out
    assert "onnx vision-stream-demo.onnx" in out


# --- what goes wrong ---------------------------------------------------------------------------------------------


async def test_a_source_that_is_not_there_is_a_usage_error():
    code, _, err = await run("--source", "no/such/film.avi")
    assert code == 2
    assert "no/such/film.avi" in err
    assert "Traceback" not in err


async def test_a_command_without_any_camera_says_what_to_give(tmp_path: Path):
    code, _, err = await run("--config-dir", str(tmp_path))
    assert code == 2
    assert "--source" in err


async def test_a_file_that_is_no_video_is_a_failure_without_a_traceback(tmp_path: Path):
    (tmp_path / "film.avi").write_bytes(b"no video")
    code, _, err = await run("--source", str(tmp_path / "film.avi"))
    assert code == 1
    assert "film.avi" in err
    assert "Traceback" not in err


# --- the end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it_within_5_s_and_it_says_what_it_found(number: signal.Signals, code: int):
    async with capture("--source", "sim:quiet?width=320&height=240") as process:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"camera is online" not in await process.stderr.readline():
                pass
        started = time.monotonic()
        process.send_signal(number)
        out, _ = await process.communicate()
        assert time.monotonic() - started < 5
        assert process.returncode == code
        assert b"cam-01:" in out


async def test_sighup_takes_the_log_level_over_and_the_cameras_go_on(tmp_path: Path):
    async with capture("--source", "sim:quiet?width=320&height=240", "--config-dir", str(tmp_path)) as process:
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"camera is online" not in await process.stderr.readline():
                pass
            (tmp_path / "settings.yaml").write_text("log_level: DEBUG\ndata_dir: elsewhere\n")
            process.send_signal(signal.SIGHUP)
            while b"configuration read again" not in (line := await process.stderr.readline()):
                pass
        said = json.loads(line)
        assert (said["taken_over"], said["after_a_restart"]) == (["log_level"], ["data_dir"])
        process.send_signal(signal.SIGTERM)
        await process.communicate()
        assert process.returncode == 0


async def test_a_camera_that_never_answers_does_not_hold_up_the_end():
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with capture("--source", f"rtsp://admin:hunter22@127.0.0.1:{port}/a") as process:
            await eventually(lambda: bool(server._active_count), within_s=30)  # type: ignore[attr-defined]
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = await process.communicate()
            assert time.monotonic() - started < 5
            assert process.returncode == 0
            assert b"hunter22" not in out + err


# --- Kafka -------------------------------------------------------------------------------------------------------


def environment(settings: Settings) -> dict[str, str]:
    return {
        "ALGO_ENABLE_KAFKA_STREAMING": "true",
        "ALGO_ENABLE_REDIS": "false",
        "ALGO_KAFKA_BOOTSTRAP_SERVERS": ",".join(settings.kafka.bootstrap_servers),
        "ALGO_KAFKA_TOPICS_DETECTION_RESULTS_NAME": settings.kafka.topics.detection_results.name,
        "ALGO_KAFKA_TOPICS_CAMERA_STATUS_NAME": settings.kafka.topics.camera_status.name,
    }


async def test_with_kafka_each_detection_is_published_and_its_delivery_counted(
    film: str, kafka_settings: SettingsMaker
):
    settings = kafka_settings()
    await topics.ensure(settings, wait_s=20)
    code, out, err = await run("--source", film, "--fps", "10", "--fast", "--json", **environment(settings))
    assert code == 0, err
    report = json.loads(out)
    assert report["cameras"][0]["frames"] == 20
    assert (report["delivered"], report["dropped"]) == (20, 0)


# --- imports -----------------------------------------------------------------------------------------------------


async def test_the_worker_runs_without_faust_and_torch():
    program = (
        "import sys, workers.capture.run, workers.capture.kafka_sink; print({'faust', 'torch'} & set(sys.modules))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE, cwd=ROOT)
    out, _ = await process.communicate()
    assert out.decode().strip() == "set()"
