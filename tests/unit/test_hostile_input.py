"""Whatever bytes come: a value or the one error that its reader promises, soon, and without the memory they ask for."""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import a_detection, a_group, assessed
from vision_stream.errors import MessageError
from vision_stream.gating import CameraGate, gate
from vision_stream.joining import CameraResults, join
from vision_stream.llm.chat import read_completion
from vision_stream.llm.failures import CallFailed
from vision_stream.llm.retry_after import retry_after
from vision_stream.llm.verdict import AnswerMisfit, parse_verdict
from vision_stream.messages import (
    AssessmentTask,
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
from vision_stream.simulators.llm.judgement import read_messages
from vision_stream.simulators.traffic import parse_scene
from workers.capture.sources.images import read_image
from workers.gateway.protocol import ClientMessage

GATED = gate(CameraGate(), a_detection(a_group(0), a_group(1)), GatingSettings(), task_deadline_s=30)
VALID: dict[str, tuple[Any, bytes]] = {
    "detection": (Detection, encode(a_detection(a_group(0), a_group(1)))),
    "task": (AssessmentTask, encode(GATED.tasks[0])),
    "outcome": (GroupAssessment | Overdue, encode(assessed("high"))),
    "camera message": (CameraMessage, encode(join(CameraResults(), assessed("high")).messages[0])),
    "status": (CameraStatus, encode(CameraStatus(camera_id="cam-01", state="online", since=1.0, at=2.0))),
    "dead letter": (
        DeadLetter,
        encode(DeadLetter(topic="t", partition=0, offset=1, key=b"k", value=b"v", error="e", at=1.0)),
    ),
    "gate's row": (CameraGate, encode(GATED.state)),
    "aggregator's row": (CameraResults, encode(join(CameraResults(), assessed("high")).state)),
    "browser's message": (ClientMessage, b'{"type":"subscribe","cameras":["cam-01","cam-02"]}'),
}
bounded = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mangled(draw: st.DrawFn, payload: bytes) -> bytes:
    """``payload`` with some of its bytes changed, cut out, or repeated."""
    data = bytearray(payload)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["change", "cut", "insert", "repeat", "end"])):
            case "change" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=12))
            case "repeat":
                data[at:at] = data[at : at + 60]
            case "end":
                del data[at:]
    return bytes(data)


# -- messages, rows, frames


@pytest.mark.parametrize(("kind", "valid"), VALID.values(), ids=VALID)
@given(data=st.data())
@bounded
def test_a_mangled_message_is_read_or_refused_with_a_message_error(kind, valid, data):
    payload = data.draw(mangled(valid) | st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))

    try:
        read = decode(payload, kind)
    except MessageError:
        return
    assert decode(encode(read), kind) == read


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"camera_id":"' + b"\\ud800" * 100_000,
        b"1e" + b"9" * 1_000_000,
        b"\x00" * 1_000_000,
        b'{"detection_id":"x","sequence":' + b"9" * 500_000,
    ],
    ids=["lists", "objects", "surrogates", "a number", "zeros", "a large number"],
)
@pytest.mark.parametrize("kind", [kind for kind, _ in VALID.values()], ids=VALID)
def test_a_large_hostile_message_is_refused_at_once(kind, payload):
    began = time.perf_counter()

    with pytest.raises(MessageError):
        decode(payload, kind)

    assert time.perf_counter() - began < 1.0


# -- what a provider answers

COMPLETION = json.dumps(
    {"model": "m", "choices": [{"message": {"content": "{}"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
).encode()
VERDICT = json.dumps(
    {"risk_level": "high", "confidence": 0.9, "risk_types": ["x"], "description": "d", "trigger_object_ids": [1]}
).encode()


@given(mangled(COMPLETION) | st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
@bounded
def test_a_mangled_completion_is_read_or_refused(body: bytes):
    with contextlib.suppress(CallFailed):
        read_completion(body)


@given(mangled(VERDICT).map(lambda b: b.decode(errors="replace")) | st.text(max_size=300))
@bounded
def test_a_mangled_verdict_is_read_or_refused(content: str):
    try:
        verdict = parse_verdict(content, frozenset({1}))
    except AnswerMisfit:
        return
    assert verdict.risk_level in ("none", "low", "medium", "high")
    assert 0 <= verdict.confidence <= 1


@given(
    st.dictionaries(
        st.sampled_from(
            ["Retry-After", "retry-after-ms", "x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"]
        ),
        st.text(max_size=40)
        | st.from_regex(r"\d{1,30}(ms|s|m|h|d)?", fullmatch=True)
        | st.just("Wed, 21 Oct 99999 07:28:00 GMT"),
    )
)
@bounded
def test_whatever_a_provider_says_to_wait_is_seconds_or_nothing(headers: dict[str, str]):
    seconds = retry_after(headers, now=1000.0)

    assert seconds is None or seconds >= 0


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content"]), json_values, max_size=2), max_size=3))
@bounded
def test_the_llm_simulator_reads_or_refuses_any_messages(messages: list[Any]):
    with contextlib.suppress(KeyError, TypeError, AttributeError):  # answered with 400
        read_messages(messages)


addresses = st.text(max_size=60).map("sim:{}".format) | mangled(b"sim:crossing?seed=3&width=640&fps=10").map(
    lambda address: address.decode(errors="replace")
)


@given(addresses)
@bounded
def test_a_mangled_scene_address_is_read_or_refused(address: str):
    with contextlib.suppress(ValueError):
        parse_scene(address)


# -- pictures


def a_png_header(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def encoded(suffix: str, side: int = 64) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


def huge_jpeg() -> bytes:
    """A sound JPEG whose header was changed to 50,000 x 50,000."""
    jpeg = bytearray(encoded(".jpg"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 50_000, 50_000)
    return bytes(jpeg)


BAD = {
    "nothing": b"",
    "text": b"not a picture",
    "zeros": b"\x00" * 1_000_000,
    "JPEG's first bytes": b"\xff\xd8\xff",
    "a JPEG cut in half": encoded(".jpg")[:2000],
    "a PNG cut in half": encoded(".png")[:2000],
    "a JPEG of 50,000 x 50,000": huge_jpeg(),
    "a PNG of 50,000 x 50,000": a_png_header(50_000, 50_000),
    "a bomb": a_png_header(19_999, 19_999, zlib.compress(bytes(50_000_000), 9)),
    "a PNG without size": a_png_header(0, 0),
    "a JPEG of markers": b"\xff\xd8" + b"\xff\xd0" * 500_000,
    "a JPEG of fill": b"\xff\xd8" + b"\xff" * 1_000_000,
    "a JPEG of empty segments": b"\xff\xd8" + b"\xff\xe0\x00\x00" * 250_000,
}


@pytest.mark.parametrize("picture", BAD.values(), ids=BAD)
def test_a_bad_picture_is_refused_and_takes_no_memory(picture: bytes, tmp_path: Path):
    path = tmp_path / "bad.png"
    path.write_bytes(picture)
    tracemalloc.start()
    with pytest.raises(BadPicture):
        check(picture)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1_000_000
    assert read_image(path) is None


@pytest.mark.parametrize("picture", BAD.values(), ids=BAD)
def test_a_bad_picture_is_refused_in_50_ms(picture: bytes):
    def seconds() -> float:
        began = time.perf_counter()
        with pytest.raises(BadPicture):
            check(picture)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(5)) < 0.05


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
def test_a_sound_picture_passes_and_is_read(suffix: str, tmp_path: Path):
    path = tmp_path / f"sound{suffix}"
    path.write_bytes(encoded(suffix))

    check(path.read_bytes())

    picture = read_image(path)
    assert picture is not None
    assert picture.shape == (64, 64, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tif"])
@given(data=st.data())
@bounded
def test_a_mangled_picture_is_sound_or_bad(suffix: str, data: st.DataObject):
    picture = data.draw(mangled(encoded(suffix, side=16)))

    with contextlib.suppress(BadPicture):
        check(picture)
