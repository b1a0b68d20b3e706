"""A camera that the API named, opened by FFmpeg as it is: it shows its pictures, and nobody else is reached.

The camera answers on 127.0.0.2, which is allowed here; the canary listens on 127.0.0.1, where FFmpeg could reach it.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import trustme
from structlog.testing import capture_logs

from tests.hostile_sources import REDIRECTING
from vision_stream.api_networks import networks
from vision_stream.api_sources import stream_target
from vision_stream.confined import can_confine, connect_only_to
from vision_stream.errors import ConfigError
from workers.capture.sources import guarded as module
from workers.capture.sources import open_isolated, open_source
from workers.capture.sources.answers import RedirectFinder
from workers.capture.sources.base import Link, NoFrames, SourceError
from workers.capture.sources.guarded import Guarded
from workers.capture.sources.relay import Relay, relaying

CAMERA, ELSEWHERE = "127.0.0.2", "127.0.0.1"
ALLOWED = networks([f"{CAMERA}/32"])
Talk = Callable[[socket.socket], None]


@contextmanager
def listening(host: str, talk: Talk) -> Iterator[int]:
    """A TCP server whose connections are each handed to ``talk``, in threads; its port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            with suppress(OSError):
                talk(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Canary:
    """What was sent to where nobody should come."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def talk(self, connection: socket.socket) -> None:
        self.heard.append(b"connected")
        self.heard.append(connection.recv(4096))


@pytest.fixture
def canary() -> Iterator[tuple[Canary, int]]:
    canary = Canary()
    with listening(ELSEWHERE, canary.talk) as port:
        yield canary, port


def head_of(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (chunk := connection.recv(4096)):
            raise ConnectionAbortedError
        received += chunk
    return received


def http(status: str, kind: str, body: bytes = b"", more: str = "") -> Talk:
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        connection.sendall(head.encode() + body)

    return talk


def rtsp(describe: bytes, setup: bytes = b"RTSP/1.0 454 no\r\nCSeq: %s\r\n\r\n") -> Talk:
    """Answers OPTIONS, and then as told; ``%s`` is the request's number."""

    def talk(connection: socket.socket) -> None:
        while True:
            request = head_of(connection)
            (number,) = (line[5:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"cseq:"))
            if request.startswith(b"OPTIONS"):
                connection.sendall(b"RTSP/1.0 200 OK\r\nCSeq: %s\r\nPublic: DESCRIBE, SETUP, PLAY\r\n\r\n" % number)
            else:
                connection.sendall((describe if request.startswith(b"DESCRIBE") else setup).replace(b"%s", number))

    return talk


def described(control: str, port: int) -> bytes:
    sdp = (
        f"v=0\r\no=- 0 0 IN IP4 {ELSEWHERE}\r\ns=x\r\nc=IN IP4 {ELSEWHERE}\r\nt=0 0\r\nm=video {port} RTP/AVP 96\r\n"
        f"a=rtpmap:96 H264/90000\r\na=control:{control}\r\n"
    )
    return (
        f"RTSP/1.0 200 OK\r\nCSeq: %s\r\nContent-Base: {control}\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(sdp)}\r\n\r\n{sdp}"
    ).encode()


def elsewhere(port: int) -> dict[str, tuple[str, Talk]]:
    """Cameras that send FFmpeg to the canary, each in its own way: scheme and talk."""
    there = f"http://{ELSEWHERE}:{port}"
    moved = f"CSeq: %s\r\nLocation: rtsp://{ELSEWHERE}:{port}/other\r\n\r\n".encode()
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{there}/a.ts\n#EXT-X-ENDLIST\n".encode()
    dash = (
        f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        f' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" mediaPresentationDuration="PT9S"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{there}/a.mp4</BaseURL>'
        f"</Representation></AdaptationSet></Period></MPD>"
    ).encode()
    sdp = described("x", port).partition(b"\r\n\r\n")[2]
    location = f"Location: {there}/meta\r\n"
    return {
        "HTTP 302": ("http", http("302 Found", "text/plain", more=location)),
        "HTTP 308": ("http", http("308 Permanent Redirect", "video/mp4", more=location)),
        **{f"RTSP 30x: {name}": ("rtsp", rtsp(line + b"\r\n" + moved)) for name, line in REDIRECTING.items()},
        "RTSP 302 at the second request": ("rtsp", rtsp(described("x", port), b"RTSP/1.0 302 Moved\r\n" + moved)),
        "a track elsewhere": ("rtsp", rtsp(described(f"rtsp://{ELSEWHERE}:{port}/track", port))),
        "a transport elsewhere": (
            "rtsp",
            rtsp(
                described("x", port),
                f"RTSP/1.0 200 OK\r\nCSeq: %s\r\nSession: 1\r\nTransport: RTP/AVP/UDP;unicast;client_port=5000-5001;"
                f"source={ELSEWHERE};destination={ELSEWHERE};server_port={port}-{port}\r\n\r\n".encode(),
            ),
        ),
        "HLS": ("http", http("200 OK", "application/vnd.apple.mpegurl", hls)),
        "HLS said to be a film": ("http", http("200 OK", "video/mp2t", hls)),
        "DASH": ("http", http("200 OK", "video/mp4", dash)),
        "DASH inside of a picture": ("http", http("200 OK", "image/jpeg", b"--x\r\n\r\n" + dash)),
        "a list of films": ("http", http("200 OK", "video/mp4", f"ffconcat version 1.0\nfile {there}/a\n".encode())),
        "SDP": ("http", http("200 OK", "video/mp4", sdp)),
    }


async def to_the_camera(host: str) -> Sequence[str]:
    return [CAMERA]


def first_pictures(source: Guarded, count: int = 2) -> list[tuple[int, ...]]:
    return [frame.image.shape for frame in itertools.islice(source.frames(threading.Event()), count)]


def guarded(url: str, **how: object) -> Guarded:
    return Guarded(f"guarded:{url}", fps=10, networks=ALLOWED, never=(), **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", elsewhere(0))
def test_a_camera_that_sends_elsewhere_is_not_followed(way: str, canary: tuple[Canary, int]):
    heard, port = canary
    scheme, talk = elsewhere(port)[way]
    with listening(CAMERA, talk) as camera, pytest.raises(SourceError) as error:
        first_pictures(guarded(f"{scheme}://{CAMERA}:{camera}/stream"))

    assert heard.heard == []
    assert "redirects" in str(error.value) or "30" not in way


def test_what_this_system_can_confine_is_told_beforehand():
    with ThreadPoolExecutor(1) as once:  # a thread that ends, as it may connect nowhere afterwards
        assert can_confine() == once.submit(connect_only_to, 9).result()


def test_where_nothing_confines_a_decoder_that_is_said_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "can_confine", lambda: False)
    module._tell_where_unconfined.cache_clear()
    with capture_logs() as lines:
        for _ in range(2):
            guarded("rtsp://10.0.0.5/stream")
    module._tell_where_unconfined.cache_clear()

    (line,) = lines
    assert "not confined" in line["event"]
    assert "6.7" in line["remedy"]


def test_a_redirect_that_the_relay_overlooked_is_refused_by_the_kernel(
    canary: tuple[Canary, int], monkeypatch: pytest.MonkeyPatch
):
    heard, port = canary
    monkeypatch.setattr(RedirectFinder, "found", lambda *_: False)
    scheme, talk = elsewhere(port)["RTSP 30x: 302"]
    with listening(CAMERA, talk) as camera, pytest.raises(SourceError):
        first_pictures(guarded(f"{scheme}://{CAMERA}:{camera}/stream"))

    assert (heard.heard == []) == can_confine()


def talk_mjpeg(connection: socket.socket) -> None:
    request = head_of(connection)
    assert request.startswith(b"GET /video?n=1 HTTP/1.1\r\n")
    assert b"\r\nHost: camera.example:" in request
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
    pause = threading.Event()
    for number in itertools.count():
        _, jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), number % 250, np.uint8))
        connection.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % jpeg.size)
        connection.sendall(jpeg.tobytes() + b"\r\n")
        pause.wait(0.05)


def test_a_camera_whose_pictures_are_too_large_ends_before_they_are_taken():
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
        _, jpeg = cv2.imencode(".jpg", np.zeros((6000, 8000), np.uint8))
        for _ in range(20):
            connection.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % jpeg.size)
            connection.sendall(jpeg.tobytes() + b"\r\n")

    with listening(CAMERA, talk) as port, pytest.raises(SourceError, match="8000 x 6000 pixels, which is not decoded"):
        first_pictures(guarded(f"http://{CAMERA}:{port}/"))


def test_a_camera_in_its_network_is_seen_and_asked_by_its_own_name():
    with listening(CAMERA, talk_mjpeg) as port:
        shapes = first_pictures(guarded(f"http://camera.example:{port}/video?n=1", resolve=to_the_camera))

    assert shapes == [(120, 160, 3)] * 2


def test_a_camera_behind_tls_is_seen_whoever_signed_its_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("another.example").configure_cert(context)

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as encrypted:
            talk_mjpeg(encrypted)

    with listening(CAMERA, talk) as port:
        shapes = first_pictures(guarded(f"https://camera.example:{port}/video?n=1", resolve=to_the_camera))

    assert shapes == [(120, 160, 3)] * 2


def test_nobody_but_its_decoder_is_passed_on_by_a_relay(canary: tuple[Canary, int]):
    heard, port = canary
    allowed = networks([f"{ELSEWHERE}/32"])
    relay = Relay(stream_target(f"http://{ELSEWHERE}:{port}/"), allowed, never=())
    with relaying(relay), socket.create_connection(("127.0.0.1", urlsplit(relay.url).port or 0), timeout=5) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

        assert other.recv(100) == b""
    assert heard.heard == []


def test_a_relay_that_cannot_listen_says_so_at_once(monkeypatch: pytest.MonkeyPatch):
    async def no_descriptor_left(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "start_server", no_descriptor_left)

    with pytest.raises(OSError, match="Too many open files"):
        first_pictures(guarded("rtsp://10.0.0.5/"))


def test_a_name_that_leads_elsewhere_the_second_time_is_not_followed(canary: tuple[Canary, int]):
    answers = iter([[CAMERA], [ELSEWHERE], [ELSEWHERE, "::1"]])

    async def rebinding(host: str) -> Sequence[str]:
        return next(answers)

    heard, port = canary
    with listening_at(CAMERA, port, talk_mjpeg):
        source = guarded(f"http://camera.example:{port}/video?n=1", resolve=rebinding)
        first_pictures(source)
        for _ in range(2):
            with pytest.raises(SourceError, match="none where cameras may be"):
                first_pictures(source)

    assert heard.heard == []


def test_of_a_name_with_two_addresses_only_the_permitted_one_is_reached(canary: tuple[Canary, int]):
    async def both(host: str) -> Sequence[str]:
        return [ELSEWHERE, CAMERA]

    heard, port = canary
    with listening_at(CAMERA, port, talk_mjpeg):
        first_pictures(guarded(f"http://camera.example:{port}/video?n=1", resolve=both))

    assert heard.heard == []


@contextmanager
def listening_at(host: str, port: int, talk: Talk) -> Iterator[None]:
    """The same port as the canary's, on another address."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                talk(connection)

    with socket.create_server((host, port)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("401 Unauthorized", "text/plain"), "401: it wants a user and a password"),
        (http("503 Busy", "text/plain"), "it answers with 503"),
        (lambda connection: connection.sendall(b"220 ftp\r\n\r\n"), "it does not answer in HTTP/1"),
        (http("200 OK", "video/mp4", b"no film at all" * 100), "FFmpeg cannot read what it sends"),
    ],
    ids=["401", "503", "another protocol", "no film"],
)
def test_why_a_camera_cannot_be_seen_is_said_in_words(answer: Talk, said: str):
    with listening(CAMERA, answer) as port, pytest.raises(SourceError, match=said):
        first_pictures(guarded(f"http://{CAMERA}:{port}/"))


def test_a_camera_that_falls_silent_is_said_to_send_no_frames():
    def talk(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
        _, jpeg = cv2.imencode(".jpg", np.zeros((120, 160, 3), np.uint8))
        for _ in range(10):
            connection.sendall(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % jpeg.size)
            connection.sendall(jpeg.tobytes() + b"\r\n")
        connection.recv(1)  # until the other side gives up

    with listening(CAMERA, talk) as port, pytest.raises(NoFrames, match=f"http://{CAMERA}:{port}/: no frames for"):
        first_pictures(guarded(f"http://{CAMERA}:{port}/", link=Link(read_s=1.0)), count=1000)


def test_without_networks_nothing_is_reached(canary: tuple[Canary, int]):
    heard, port = canary
    source = open_source(f"guarded:rtsp://{ELSEWHERE}:{port}/", fps=2)

    with pytest.raises(SourceError, match="none where cameras may be"):
        next(iter(source.frames(threading.Event())))

    assert heard.heard == []


@pytest.mark.parametrize(
    "source", ["guarded:file:///etc/passwd", "guarded:/etc/passwd", "guarded:0", "guarded:sim:quiet"]
)
@pytest.mark.parametrize("opener", [open_source, open_isolated])
def test_what_is_no_stream_cannot_be_opened_as_a_guarded_source(opener: Callable[..., object], source: str):
    with pytest.raises(ConfigError):
        opener(f"guarded:{source}", fps=2, networks=ALLOWED)


@pytest.mark.parametrize("line", REDIRECTING.values(), ids=REDIRECTING)
def test_a_redirect_is_found_wherever_it_is_cut_and_behind_whatever_head(line: bytes):
    stream = b"$\x00\x00\x04RTPxRTSP/1.0 200 OK\r\n\r\n" + line + b"\r\nLocation: rtsp://127.0.0.1/\r\n\r\n"
    for at in (*range(1, 80), *range(len(stream) - 80, len(stream))):
        finder = RedirectFinder()

        assert finder.found(stream[:at]) or finder.found(stream[at:])


@pytest.mark.parametrize(
    "stream",
    [
        b"RTSP/1.0 200 OK\r\nCSeq: 302\r\n\r\n",
        b"s=RTSP/RTP stream 302\r\n",
        b"s=RTSP/RTP - stream 4294967598\r\n",
        b"Server: RTSP/1.0 Server 3.0.1\r\n",
        bytes(range(256)) * 300,
    ],
    ids=["200", "a session's name", "a name with a dash", "a server's name", "video"],
)
def test_what_is_no_redirect_is_passed_on(stream: bytes):
    assert not RedirectFinder().found(stream)
