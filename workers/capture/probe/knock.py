"""Whether somebody is there at all: one connection, which costs no process, before FFmpeg is asked what is wrong."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
REFUSED = "connection refused: nothing listens on that port"
NO_WAY = "no way to that host; check address and network"
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}


def knock(url: str, *, within_s: float) -> str | None:
    """Why nobody can be reached at ``url``, in words; None: somebody can, or its scheme is none of ``PORTS``."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its address is no URL: check for a character that needs %-escapes"
    usual = PORTS.get(parts.scheme.lower())
    if not host or usual is None:
        return None
    try:
        socket.create_connection((host, port or usual), timeout=within_s).close()
    except socket.gaierror:
        return "its host name is not known"
    except ConnectionRefusedError:
        return REFUSED
    except TimeoutError:
        return f"no answer from that address within {within_s:g} s; check address, network and firewall"
    except OSError as error:
        return NO_WAY if error.errno in _UNREACHABLE else "it cannot be connected to"
    return None
