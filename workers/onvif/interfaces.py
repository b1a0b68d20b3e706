"""The local addresses to ask from: multicast leaves a host by one of them at a time."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

import psutil

from vision_stream.errors import ConfigError


def addresses(wanted: Iterable[str]) -> list[str]:
    """IPv4 addresses of the interfaces ``wanted``, by name or address; none wanted: all but loopback.

    Raises:
        ConfigError: there is no such interface, or none at all.
    """
    ups = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    known = [
        (name, each.address)
        for name, found in psutil.net_if_addrs().items()
        for each in found
        if name in ups and each.family == socket.AF_INET
    ]
    names = list(wanted)
    for name in names:
        if not any(name in pair for pair in known):
            there = ", ".join(f"{interface} ({address})" for interface, address in known) or "there are none"
            raise ConfigError(f"no interface {name} with an IPv4 address is up", remedy=f"give one of: {there}")
    if names:
        return [address for pair in known for address in pair[1:] if set(pair) & set(names)]
    found = [address for _, address in known if not ipaddress.ip_address(address).is_loopback]
    if not found:
        raise ConfigError("no interface with an IPv4 address is up", remedy="connect the network, or give --at ADDRESS")
    return found
