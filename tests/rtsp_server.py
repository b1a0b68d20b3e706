"""A real RTSP server, GStreamer's, with test pictures; see ``rtsp_cameras``. Debian's Python has its bindings.

The first line of standard input is JSON: ``{"port": 0, "mounts": {"yard": "h264"}, "users": {}, "digest": false}``. It
answers with its port, does what further lines say, and says each back when it is done:

    mute yard      the session goes on, but no picture comes
    freeze yard    the same picture over and over
    play yard      pictures that move
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

gi: Any = importlib.import_module("gi")
gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
GLib: Any = importlib.import_module("gi.repository.GLib")
Gst: Any = importlib.import_module("gi.repository.Gst")
GstRtsp: Any = importlib.import_module("gi.repository.GstRtsp")
Rtsp: Any = importlib.import_module("gi.repository.GstRtspServer")


def pictures(fps: int) -> str:
    return (
        "videotestsrc name=pictures is-live=true pattern=ball foreground-color=0xffff0000 background-color=0xff3c3c3c"
        f" ! video/x-raw,format=I420,width=320,height=240,framerate={fps}/1"
    )


def h264(fps: int, *, key_every: int) -> str:
    coder = f"x264enc tune=zerolatency threads=1 speed-preset=ultrafast bitrate=500 key-int-max={key_every}"
    return f"{pictures(fps)} ! {coder} ! rtph264pay name=pay0 config-interval=-1"


KINDS = {
    "h264": h264(25, key_every=10),
    "h264-slow": h264(1, key_every=4),
    "h264-rare-keys": h264(25, key_every=14 * 25),
    "jpeg": f"{pictures(25)} ! jpegenc ! rtpjpegpay name=pay0",
    "audio": "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay0",
    # JPEG 2000 as RTP carries it (RFC 5371), which FFmpeg does not know.
    "unknown": f"{pictures(25)} ! openjpegenc ! rtpj2kpay name=pay0",
}


class Mount:
    """One address. Its pictures go on while nobody looks, as those of a camera do."""

    def __init__(self, kind: str) -> None:
        self.factory = Rtsp.RTSPMediaFactory()
        self.factory.set_launch(f"( {KINDS[kind]} )")
        self.factory.set_shared(True)
        self.factory.connect("media-configure", self._configure)
        self._pictures: Any = None
        self._muted = self._frozen = False

    def do(self, what: str) -> None:
        self._muted = what == "mute"
        self._frozen = what == "freeze"
        self._show()

    def _configure(self, _: Any, media: Any) -> None:
        media.connect("prepared", lambda prepared: prepared.prepare(None))  # held: it is not taken down and made anew
        element = media.get_element()
        self._pictures = element.get_by_name("pictures")
        out = element.get_by_name("pay0").get_static_pad("src")
        out.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, self._pass)
        out.add_probe(Gst.PadProbeType.QUERY_UPSTREAM, self._live)
        self._show()

    def _show(self) -> None:
        if self._pictures is not None:
            self._pictures.set_property("pattern", "checkers-8" if self._frozen else "ball")

    def _pass(self, _: Any, __: Any) -> Any:
        return Gst.PadProbeReturn.DROP if self._muted else Gst.PadProbeReturn.OK

    def _live(self, _: Any, info: Any) -> Any:
        """Nobody can wind a camera; else each viewer would, and so get a key frame at once."""
        return Gst.PadProbeReturn.DROP if info.get_query().type == Gst.QueryType.SEEKING else Gst.PadProbeReturn.OK


def protect(server: Any, factories: list[Any], users: dict[str, str], *, digest: bool) -> None:
    auth = Rtsp.RTSPAuth()
    token = Rtsp.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    for name, password in users.items():
        if digest:
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(name, password, token)
        else:
            auth.add_basic(Rtsp.RTSPAuth.make_basic(name, password), token)
    server.set_auth(auth)
    for factory in factories:
        factory.add_role_from_structure(
            Gst.Structure.new_from_string("viewer,media.factory.access=(bool)true,media.factory.construct=(bool)true")
        )


def obey(mounts: dict[str, Mount], loop: Any) -> None:
    for line in sys.stdin:
        what, name = line.split()
        GLib.idle_add(mounts[name].do, what)
        GLib.idle_add(lambda said=line: print(said, end="", flush=True))
    loop.quit()


def main() -> None:
    wanted = json.loads(sys.stdin.readline())
    Gst.init(None)
    server = Rtsp.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(wanted["port"]))
    mounts = {name: Mount(kind) for name, kind in wanted["mounts"].items()}
    for name, mount in mounts.items():
        server.get_mount_points().add_factory(f"/{name}", mount.factory)
    if wanted["users"]:
        protect(server, [mount.factory for mount in mounts.values()], wanted["users"], digest=wanted["digest"])
    if not server.attach(None):
        sys.exit(f"port {wanted['port']} is taken")
    print(server.get_bound_port(), flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=obey, args=(mounts, loop), daemon=True).start()
    loop.run()


if __name__ == "__main__":
    main()
