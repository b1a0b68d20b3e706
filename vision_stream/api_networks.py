"""Where a source that came over the API may lead: addresses, not names, as a name can lead elsewhere a moment later.

``cameras.api_networks`` lists where cameras are. What is in ``NEVER`` is not reached whatever it lists: this machine,
what is not one host, what answers as a cloud's metadata service, and IPv6 forms that stand for an IPv4 address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# A look-up keeps its thread when nobody waits for it any more; the loop's own threads are for other work.
_RESOLVING = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")
Resolve = Callable[[str], Awaitable[Sequence[str]]]  # a name's or address's addresses; raises OSError

NEVER: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with most clouds' metadata
        "192.0.0.0/24",  # IETF protocols, with one cloud's metadata
        "100.100.100.200/32",  # metadata
        "168.63.129.16/32",  # metadata
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64
        "100::/64",  # discarded
        "2001::/23",  # Teredo and other tunnels
        "2002::/16",  # 6to4
        "fd00:ec2::/32",  # metadata
        "fd20:ce::/64",  # metadata
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """
    >>> networks(["10.0.0.0/8"])
    (IPv4Network('10.0.0.0/8'),)
    """
    return tuple(ip_network(text) for text in texts)


def permitted(addresses: Iterable[str], allowed: Iterable[Network], never: Iterable[Network] = NEVER) -> list[str]:
    """Those of ``addresses`` that may be connected to, in their order; what is no plain address is not.

    >>> permitted(["10.0.0.5", "127.0.0.1", "8.8.8.8", "fe80::1%eth0"], networks(["10.0.0.0/8", "0.0.0.0/1"]))
    ['10.0.0.5', '8.8.8.8']
    """
    allowed, never = tuple(allowed), tuple(never)
    return [address for address in addresses if _in(address, allowed) and not _in(address, never)]


def _in(text: str, nets: tuple[Network, ...]) -> bool:
    if "%" in text:  # names an interface: only link-local addresses need one
        return False
    address = ip_address(text)
    return any(address in net for net in nets)


async def system_resolver(host: str) -> Sequence[str]:
    """As this machine resolves names. Raises OSError: it does not know this one."""
    with suppress(ValueError):
        return [str(ip_address(host))]  # waits behind no name
    look_up = partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVING, look_up)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
