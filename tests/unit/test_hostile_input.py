"""Whatever bytes come: a value or the one error that its reader promises, soon, and without the memory they ask for."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import KINDS, TARGETS
from vision_stream.config import InvalidConfig, load
from vision_stream.config.files import FILES
from vision_stream.errors import MessageError
from vision_stream.messages import decode
from vision_stream.pictures import BadPicture, check
from vision_stream.simulators.llm.judgement import read_messages
from workers.capture.sources.images import read_image

bounded = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def resident(what: str = "VmRSS") -> int:
    """Bytes of this process; VmHWM: at their most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


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


# -- everything that reads bytes


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@bounded
def test_mangled_bytes_are_read_or_refused_as_promised(name: str, data: st.DataObject):
    target = TARGETS[name]
    example = data.draw(st.sampled_from(target.examples))

    target.run(
        data.draw(mangled(example) | st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))
    )


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_target_should_read_is_read(name: str):
    """Else its mangled forms would all be refused at their first byte."""
    assert TARGETS[name].examples
    for example in TARGETS[name].examples:
        TARGETS[name].run(example)


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
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_large_hostile_message_is_refused_at_once(kind, payload):
    began = time.perf_counter()

    with pytest.raises(MessageError):
        decode(payload, kind)

    assert time.perf_counter() - began < 1.0


# -- the LLM simulator


@given(st.lists(st.dictionaries(st.sampled_from(["role", "content"]), json_values, max_size=2), max_size=3))
@bounded
def test_the_llm_simulator_reads_or_refuses_any_messages(messages: list[Any]):
    with contextlib.suppress(KeyError, TypeError, AttributeError):  # answered with 400
        read_messages(messages)


# -- configuration

BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n + 1, n + 1, *[n] * 9) for n in range(ord("a"), ord("j"))
)
HOSTILE_YAML = {
    "aliases": BOMB,
    "an alias of itself": b"keys: &a [*a]\n",
    "merges of merges": b"a: &a {x: 1}\n" + b"".join(b"b%d: &a {<<: [*a, *a], y%d: 1}\n" % (n, n) for n in range(40)),
    "lists in lists": b"keys: " + b"[" * 100_000,
    "mappings in mappings": b"".join(b" " * n + b"a:\n" for n in range(1000)),
    "a Python object": b"path: !!python/object/apply:os.system [false]\n",
    "a Python name": b"path: !!python/name:os.system\n",
    "a name twice": b"path: a\npath: b\n",
    "a huge scalar": b"path: " + b"x" * 5_000_000,
    "a huge number": b"path: 0x" + b"f" * 500_000,
    "a number of bases": b"confidence: 1" + b":59" * 100_000,
    "zeros": b"\0" * 100_000,
    "another document": b"a: 1\n---\nb: 2\n",
    "a directive": b"%TAG ! tag:evil,2000:\n---\n!x y: z\n",
}


@pytest.mark.parametrize("content", HOSTILE_YAML.values(), ids=HOSTILE_YAML)
def test_a_hostile_file_is_explained_with_its_place_at_once(content: bytes, tmp_path: Path):
    (tmp_path / "model.yaml").write_bytes(content)
    began, before = time.process_time(), resident()

    with pytest.raises(InvalidConfig) as caught:
        load(tmp_path, environ={})

    assert time.process_time() - began < 5.0  # 0.2 s seen
    assert resident() - before < 200_000_000
    assert all(problem.place.name.endswith("model.yaml") for problem in caught.value.problems)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 12_000


def test_the_command_says_so_without_a_traceback_and_exits_with_2(tmp_path: Path):
    files = dict(zip(sorted(FILES), ("aliases", "lists in lists", "a Python object", "a name twice"), strict=False))
    for file, name in files.items():
        (tmp_path / file).write_bytes(HOSTILE_YAML[name])

    ended = subprocess.run(
        (sys.executable, "-m", "vision_stream", "check-config", "--config-dir", str(tmp_path)),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert all(re.search(rf"{file}:\d+:\d+\n", ended.stderr) for file in files), ended.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"a":' * 50_000, "[" + "9" * 100_000 + "]"])
def test_hostile_json_in_a_variable_is_explained(text: str):
    with pytest.raises(InvalidConfig) as caught:
        load(environ={"ALGO_LLM_KEYS": text})

    assert caught.value.problems[0].place.variable == "ALGO_LLM_KEYS"


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


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak, where what C takes counts too")
@pytest.mark.parametrize("picture", BAD.values(), ids=BAD)
def test_a_bad_picture_is_refused_and_takes_no_memory(picture: bytes, tmp_path: Path):
    path = tmp_path / "bad.png"
    path.write_bytes(picture)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what there is
    before = resident("VmHWM")

    with pytest.raises(BadPicture):
        check(picture)

    assert read_image(path) is None
    assert resident("VmHWM") - before < 8_000_000  # decoded, the smallest of the bombs takes 1.2 GB


def test_the_peak_of_memory_shows_what_c_takes():
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")

    cv2.imdecode(np.frombuffer(encoded(".png", side=4000), np.uint8), cv2.IMREAD_COLOR)  # more than malloc ever keeps

    assert resident("VmHWM") - before > 8_000_000


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
