"""WS-Discovery: one question by UDP multicast, and the answers of a few seconds."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from workers.onvif.answers import BadAnswer, Fault, body_of, clean, every, text

GROUP, PORT = "239.255.255.250", 3702
HOPS = 1  # the local network's
REPEAT_S = 0.5  # a datagram may be lost
MOST_DEVICES = 500
MOST_ADDRESSES = 8  # of a device
LARGEST = 64 * 1024  # bytes of an answer

_TYPES = {
    "network video transmitters": (
        '<d:Types xmlns:n="http://www.onvif.org/ver10/network/wsdl">n:NetworkVideoTransmitter</d:Types>'
    ),
    "devices": '<d:Types xmlns:t="http://www.onvif.org/ver10/device/wsdl">t:Device</d:Types>',  # some know these only
}


@dataclass(frozen=True)
class Found:
    host: str  # IPv4 address that answered
    addresses: tuple[str, ...]  # URLs of its ONVIF service on that host; none: it named other hosts only
    elsewhere: tuple[str, ...] = ()  # those of other hosts
    name: str = ""  # as it calls itself, or empty


@dataclass
class Answers:
    """Of any number of interfaces; one a host, the first that names an address there."""

    ours: frozenset[str]  # ids of our questions
    found: dict[str, Found] = field(default_factory=dict)

    def take(self, datagram: bytes, sender: str) -> None:
        """Keep what is an answer to us, and pass over everything else."""
        for answer in read(datagram, sender, self.ours):
            known = self.found.get(sender)
            if known is None and len(self.found) >= MOST_DEVICES:
                return
            if known is None or (answer.addresses and not known.addresses):
                self.found[sender] = answer


def question(kind: str, message_id: str) -> bytes:
    """A Probe for a kind of ``_TYPES``."""
    return (
        '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
        'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header>'
        '<a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>'
        f"<a:MessageID>{message_id}</a:MessageID>"
        '<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>'
        f"</s:Header><s:Body><d:Probe>{_TYPES[kind]}</d:Probe></s:Body></s:Envelope>"
    ).encode()


def read(datagram: bytes, sender: str, ours: Iterable[str]) -> Iterator[Found]:
    """What a datagram says of who sent it; nothing where it is no answer to one of ``ours``."""
    if len(datagram) > LARGEST or not any(each.encode() in datagram for each in ours):
        return
    try:
        body = body_of(datagram)
    except (BadAnswer, Fault):
        return
    for match in every(body, "ProbeMatch"):
        named = text(match, "XAddrs").split()[:MOST_ADDRESSES]
        urls = [url for url in named if urlsplit_host(url) is not None]
        here = tuple(url for url in urls if urlsplit_host(url) == sender)
        elsewhere = tuple(url for url in urls if url not in here)
        yield Found(sender, here, elsewhere, _name(text(match, "Scopes")))


def urlsplit_host(url: str) -> str | None:
    """The host of an HTTP URL without a user in it; None where it is none."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme in ("http", "https") and "@" not in parts.netloc and (parts.port or 1) > 0
        return parts.hostname if plain else None
    except ValueError:
        return None


def _name(scopes: str) -> str:
    from urllib.parse import unquote

    for scope in scopes.split():
        if scope.startswith("onvif://www.onvif.org/name/"):
            return clean(unquote(scope.rsplit("/", 1)[1]))[:80]
    return ""


async def ask(addresses: Iterable[str], *, listen_s: float) -> list[Found]:
    """Who answers within ``listen_s`` seconds, asked from each of our local IPv4 ``addresses``; by address.

    An interface that refuses multicast is passed over.
    """
    questions = {kind: f"urn:uuid:{uuid.uuid4()}" for kind in _TYPES}
    answers = Answers(frozenset(questions.values()))
    loop = asyncio.get_running_loop()
    transports = [
        (await loop.create_datagram_endpoint(lambda: _Ear(answers), sock=_socket(address)))[0] for address in addresses
    ]
    try:
        for wait_s in (min(REPEAT_S, listen_s / 2), max(listen_s / 2, listen_s - REPEAT_S)):
            for transport in transports:
                for kind, message_id in questions.items():
                    transport.sendto(question(kind, message_id), (GROUP, PORT))
            await asyncio.sleep(wait_s)
    finally:
        for transport in transports:
            transport.close()
    return sorted(answers.found.values(), key=lambda found: ipaddress.ip_address(found.host))


class _Ear(asyncio.DatagramProtocol):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answers.take(data, addr[0])

    def error_received(self, exc: Exception) -> None:
        """An interface without a way to the group: the others are still asked."""


def _socket(address: str) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
    opened.bind((address, 0))
    return opened
