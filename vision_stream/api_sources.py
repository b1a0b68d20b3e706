"""Which sources somebody may name over the API: a stream on the network, or a simulated scene, and nothing else.

Whoever names one is not who may read this machine's files and reach its neighbours. So what is allowed is listed, and
read by one strict reader: no other spelling of an address, no credentials (they would lie in Kafka), no characters
that another reader could take differently. Where a name leads is decided when it is connected: see ``api_networks``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from vision_stream.errors import ConfigError
from vision_stream.redaction import redact_url

GUARDED = "guarded:"  # before a source that the API named, so that capture opens it through its guard
SCENE = "sim:"  # leads nowhere
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
MOST_CHARS = 1000

_SCENE = re.compile(r"sim:[a-z0-9_-]{1,40}(\?[a-z0-9=&.]{0,100})?")
_URL = re.compile(r"([A-Za-z0-9+.-]+)://([^/?]*)([/?].*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as a last label, some readers take the whole name for an IPv4 address


class SourceRefused(ConfigError):
    """A source that the API may not name. Its text holds nothing of the source."""

    def __init__(self, code: str, what: str, *, remedy: str = "") -> None:
        super().__init__(what, remedy=remedy)
        self.code = code


@dataclass(frozen=True)
class Target:
    """A stream on the network."""

    scheme: str  # one of PORTS
    host: str  # an IPv4 or IPv6 address in its usual form, or a name in lower case
    port: int
    path: str  # with the query; begins with "/"

    @property
    def encrypted(self) -> bool:
        return self.scheme in ("rtsps", "https")

    @property
    def is_rtsp(self) -> bool:
        return self.scheme in ("rtsp", "rtsps")

    @property
    def authority(self) -> str:
        """As in a URL; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def checked_source(source: str) -> str:
    """``source`` in its one spelling, so that two that mean the same are the same.

    Raises:
        SourceRefused: the API may not name it; says why in words for whoever named it.

    >>> checked_source("RTSP://Camera.example:554/1")
    'rtsp://camera.example/1'
    """
    if _SCENE.fullmatch(source):
        return source
    return stream_target(source).url


def stream_target(source: str) -> Target:
    """What a source on the network means.

    Raises:
        SourceRefused: see ``checked_source``.
    """
    if not 1 <= len(source) <= MOST_CHARS or not all("!" <= char <= "~" and char not in "\\#" for char in source):
        raise SourceRefused(
            "bad_source", f"a source is 1 to {MOST_CHARS} printable ASCII characters, without spaces, backslashes and #"
        )
    match = _URL.fullmatch(source)
    scheme = match[1].lower() if match else ""
    if match is None or scheme not in PORTS:
        raise SourceRefused(
            "source_scheme",
            "a source over the API is an rtsp://, rtsps://, http:// or https:// address, or sim:SCENE",
            remedy="write any other source into config/cameras.yaml, with enabled: false, and start it by its id",
        )
    if "@" in source or redact_url(source) != source:
        raise SourceRefused(
            "source_credentials",
            "a source over the API holds no user and no password",
            remedy="write the camera into config/cameras.yaml, with enabled: false, and start it by its id",
        )
    host, port = _host_and_port(match[2])
    path = match[3] or "/"
    return Target(scheme, host, port or PORTS[scheme], path if path.startswith("/") else f"/{path}")


def _host_and_port(authority: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    port = int(match[2]) if match and match[2] else None
    if match is None or (port is not None and port > 65535):
        raise _no_host()
    return (_ipv6(match[1]) if match[1].startswith("[") else _name(match[1].lower())), port


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text[1:-1]))
    except AddressValueError:
        raise _no_host() from None


def _name(text: str) -> str:
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(text))
        except AddressValueError:
            raise _no_host() from None
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise _no_host()
    return text


def _no_host() -> SourceRefused:
    return SourceRefused(
        "source_host",
        "the source's host is no name and no address in its usual form",
        remedy="write it as camera.example, 10.0.0.5 or [fd00::5], with a port where it needs one",
    )
