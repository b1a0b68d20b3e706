"""What reads bytes from outside, by name. A target returns, or raises because of a defect."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tables.rows import Rows
from tests.builders import a_detection, a_group, assessed
from vision_stream.audit.decoded import KINDS as TOPICS
from vision_stream.config import InvalidConfig, load
from vision_stream.config.files import FILES
from vision_stream.dead_letters.letters import unreadable_because
from vision_stream.delivery.marks import Place
from vision_stream.errors import MessageError
from vision_stream.fencing import Fence
from vision_stream.gating import CameraGate, gate
from vision_stream.joining import CameraResults, join
from vision_stream.llm.chat import read_completion
from vision_stream.llm.failures import CallFailed, from_status
from vision_stream.llm.kept_limits import KeptLimits, Learned
from vision_stream.llm.replay import read as read_replay
from vision_stream.llm.retry_after import retry_after
from vision_stream.llm.verdict import AnswerMisfit, parse_verdict
from vision_stream.messages import (
    Alert,
    AssessmentTask,
    CameraAssessment,
    CameraMessage,
    CameraStatus,
    DeadLetter,
    Detection,
    GroupAssessment,
    Overdue,
    decode,
    encode,
)
from vision_stream.pictures import BadPicture, check
from vision_stream.settings import GatingSettings
from vision_stream.simulators.traffic import parse_scene
from vision_stream.stores.cache import _readable
from workers.gateway.dashboard import Login
from workers.gateway.protocol import ClientMessage

DETECTION = a_detection(a_group(0), a_group(1))
GATED = gate(CameraGate(), DETECTION, GatingSettings(), task_deadline_s=30)
JOINED = join(CameraResults(), assessed("high"))
LETTER = DeadLetter(topic="detection-results", partition=0, offset=1, key=b"k", value=b"v", error="e", at=1.0)
COMPLETION = (
    b'{"model":"m","choices":[{"message":{"content":"{}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
)
VERDICT = b'{"risk_level":"high","confidence":0.9,"risk_types":["x"],"description":"d","trigger_object_ids":[1]}'
YAML = {
    "api_keys.yaml": b"keys:\n- &a {id: k1, api_key: 'sk-1', rpm_limit: 60}\n- {<<: *a, id: k2}\n",
    "cameras.yaml": b'cameras:\n- {id: cam-01, source: "rtsp://u:${NAME:-x}@h/1", fps: 2}\n',
    "kafka.yaml": b"bootstrap_servers: [localhost:9092]\nscheduler: {max_concurrent_tasks: 50}\n",
}
DOT_ENV = b'# ours\nexport ALGO_GATEWAY_PORT="8001"\nALGO_LLM_KEYS=[{"id": "a", "api_key": "b"}]\nX=y # z\n'


class Target(NamedTuple):
    run: Callable[[bytes], Any]
    examples: tuple[bytes, ...]  # what it reads when all is well


def a_message(kind: Any) -> Callable[[bytes], None]:
    """Reads it, or raises MessageError alone; what was read is written and read as the same."""

    def run(data: bytes) -> None:
        with contextlib.suppress(MessageError):
            read = decode(data, kind)
            assert decode(encode(read), kind) == read

    return run


def a_row(kind: type) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        assert isinstance(Rows({b"cam-01": data}, kind).read("cam-01"), kind)

    return run


def completion(data: bytes) -> None:
    with contextlib.suppress(CallFailed):
        read_completion(data)


def refusal(data: bytes) -> None:
    """A status and its body, which repeats the key."""
    status, body = 300 + int.from_bytes(data[:1], "big"), data[1:]
    failure = from_status(status, {}, body, now=1000.0, secret="canary-key")
    assert "canary-key" not in str(failure)
    assert len(failure.what) <= 300


def verdict(data: bytes) -> None:
    with contextlib.suppress(AnswerMisfit):
        read = parse_verdict(data.decode(errors="replace"), frozenset({1}))
        assert read.risk_level in ("none", "low", "medium", "high")
        assert 0 <= read.confidence <= 1


def waiting_headers(data: bytes) -> None:
    """``name: value`` lines."""
    lines = (line.partition(":") for line in data.decode("latin-1").splitlines())
    seconds = retry_after({name: value.strip() for name, _, value in lines}, now=1000.0)
    assert seconds is None or seconds >= 0


def yaml_file(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, name).write_bytes(data)
            with contextlib.suppress(InvalidConfig):
                repr(load(Path(directory), environ={}))

    return run


def dot_env(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, ".env")
        path.write_bytes(data)
        with contextlib.suppress(InvalidConfig):
            repr(load(Path(directory), environ={}, env_file=path))


def picture(data: bytes) -> None:
    with contextlib.suppress(BadPicture):
        check(data)


def dead_letter(data: bytes) -> None:
    """What a letter holds, as a replay looks at it."""
    for name in TOPICS:
        letter = DeadLetter(topic=name, partition=0, offset=1, key=b"cam-01", value=data, error="", at=1.0)
        unreadable_because(letter, name)


def changelog_headers(data: bytes) -> None:
    Fence().admits(data[:8], [("owner", data), ("traceparent", data)])
    Fence().admits(data[:8], [("owner", None)])  # type: ignore[list-item]  # Kafka allows it


def commit_marks(data: bytes) -> None:
    assert Place.of(7, data.decode(errors="replace")).offset == 7


def cached_alert(data: bytes) -> None:
    assert _readable(data) is None or isinstance(_readable(data), Alert)


def learned_limits(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "learned.json")
        path.write_bytes(data)
        assert isinstance(KeptLimits(path).read(), Learned)


def call_log(data: bytes) -> None:
    read_replay(data.splitlines(keepends=True), deadline_s=30.0)


def scene_address(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_scene(f"sim:{data.decode(errors='replace')}")


def _messages() -> Iterable[tuple[str, Any, bytes]]:
    yield "detection", Detection, encode(DETECTION)
    yield "task", AssessmentTask, encode(GATED.tasks[0])
    yield "outcome", GroupAssessment | Overdue, encode(assessed("high"))
    yield "camera message", CameraMessage, encode(JOINED.messages[0])
    yield "cached assessment", CameraAssessment, encode(JOINED.messages[0])
    yield "status", CameraStatus, encode(CameraStatus(camera_id="cam-01", state="online", since=1.0, at=2.0))
    yield "letter", DeadLetter, encode(LETTER)
    yield "browser's message", ClientMessage, b'{"type":"subscribe","cameras":["cam-01","cam-02"]}'
    yield "login", Login, b'{"token":"a"}'


KINDS = {name: kind for name, kind, _ in _messages()}
TARGETS: dict[str, Target] = {
    **{name: Target(a_message(kind), (example,)) for name, kind, example in _messages()},
    "gate's row": Target(a_row(CameraGate), (encode(GATED.state),)),
    "aggregator's row": Target(a_row(CameraResults), (encode(JOINED.state),)),
    "completion": Target(completion, (COMPLETION,)),
    "refusal": Target(refusal, (b"\xc8" + b'{"error":{"message":"canary-key is wrong"}}', b"\x65canary-key")),
    "verdict": Target(verdict, (VERDICT, b"```json\n" + VERDICT + b"\n```")),
    "waiting headers": Target(
        waiting_headers,
        (b"Retry-After: 1.5", b"Retry-After: Wed, 21 Oct 2030 07:28:00 GMT", b"x-ratelimit-reset-tokens: 1m30s"),
    ),
    **{name: Target(yaml_file(name), (YAML.get(name, b"{}\n"),)) for name in FILES},
    "dot env": Target(dot_env, (DOT_ENV,)),
    "picture": Target(picture, (b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x10\x00\x10\xff\xd9",)),
    "dead letter": Target(dead_letter, (encode(DETECTION), encode(GATED.tasks[0]))),
    "changelog headers": Target(changelog_headers, (b"3.17",)),
    "commit marks": Target(commit_marks, (b"done1:Ag==",)),
    "cached alert": Target(cached_alert, tuple(encode(m) for m in JOINED.messages if isinstance(m, Alert))),
    "learned limits": Target(learned_limits, (b'{"second":1,"minute":60}',)),
    "call log": Target(call_log, (b'{"at":1.0,"latency_s":0.5}\n' + encode(assessed("high")) + b"\n",)),
    "scene address": Target(scene_address, (b"crossing?seed=3&width=640&fps=10",)),
}
