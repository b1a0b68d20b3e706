"""A network of a process's own, so that its ways can be cut while all others' stay.

Both ends keep their 127.0.0.1: a connection from within to one of the ``servers`` (ports of ours) is led over a pair of
virtual interfaces to 127.0.0.1 out here, and one from here to a port that was let in to 127.0.0.1 in there. TCP runs
end to end, so that what is cut is noticed as late as on a real network: packets vanish, nobody is told. Servers see
clients from 127.0.0.1, as they would without all this.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.faults.tools import commands
from tests.faults.tools.commands import CommandFailed, run

Way = Literal["out", "in", "both"]  # seen from the process within
PREFIX = "vsf"  # of namespaces, interfaces and nft's tables: then the process id and a number
_numbers = itertools.count()

_WITHIN = """
table ip faults {{
  chain there {{ type nat hook output priority -100; {servers} }}
  chain from {{ type nat hook postrouting priority 100; oifname "eth0" masquerade; }}
  chain here {{ type nat hook prerouting priority -100; iifname "eth0" dnat to 127.0.0.1; }}
}}
table ip cut {{
  chain out {{ type filter hook output priority 0; }}
  chain in {{ type filter hook input priority 0; }}
}}
"""
_OUTSIDE = """
table ip {name} {{
  chain here {{ type nat hook prerouting priority -100; iifname "{name}" dnat to 127.0.0.1; }}
  chain there {{ type nat hook output priority -100; }}
  chain from {{ type nat hook postrouting priority 100; oifname "{name}" masquerade; }}
  chain seen {{ type nat hook input priority 100; iifname "{name}" snat to 127.0.0.1; }}
}}
"""


def missing() -> str:
    return commands.missing("ip", "nft", "nsenter", "sysctl", root=True)


class Namespace:
    """``async with Namespace(servers=[kafka, llm]) as network``; run ``(*network.enter, program)`` with its whole path.

    What the program listens on out here: ``let_in``.
    """

    def __init__(self, *, servers: Sequence[int]) -> None:
        number = next(_numbers)
        self.name = f"{PREFIX}{os.getpid()}-{number}"
        self._servers = servers
        first = 4 * ((os.getpid() * 8 + number) % (1 << 14))  # a /30 of 10.231.0.0/16
        self._outside, self._within = (f"10.231.{(first + n) >> 8}.{(first + n) & 255}" for n in (1, 2))

    @property
    def enter(self) -> tuple[str, ...]:
        """Comes before a program's command line; becomes the program, with the same process id."""
        return (str(shutil.which("nsenter")), f"--net=/run/netns/{self.name}")

    async def __aenter__(self) -> Self:
        await _sweep()
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def _open(self) -> None:
        name = self.name
        await run("ip", "netns", "add", name)
        await run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        await run("ip", "addr", "add", f"{self._outside}/30", "dev", name)
        await run("ip", "link", "set", name, "up")
        await run("ip", "-n", name, "addr", "add", f"{self._within}/30", "dev", "eth0")
        await run("ip", "-n", name, "link", "set", "eth0", "up")
        await run("ip", "-n", name, "link", "set", "lo", "up")
        await run("sysctl", "-qw", f"net.ipv4.conf.{name}.route_localnet=1")
        await run(*self.enter, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        await self._rules(_WITHIN.format(servers=_led(self._servers, self._outside)))
        await run("nft", "-f", "-", stdin=_OUTSIDE.format(name=name))

    async def let_in(self, port: int) -> None:
        """Connections to this port of our 127.0.0.1 go in there from now on."""
        await run("nft", "-f", "-", stdin=f"add rule ip {self.name} there {_led([port], self._within)}")

    async def cut(self, ports: Sequence[int], way: Way) -> None:
        """Packets to and from these ports of ours vanish from now on: only what leaves, only what arrives, or both."""
        listed = "{ " + ", ".join(map(str, ports)) + " }"
        if way in ("out", "both"):
            await self._rules(f"add rule ip cut out tcp dport {listed} counter drop")
        if way in ("in", "both"):
            await self._rules(f"add rule ip cut in tcp sport {listed} counter drop")

    async def unplug(self) -> None:
        """Nothing goes in or out: not to its servers, not to its listeners."""
        await run("ip", "link", "set", self.name, "down")

    async def heal(self) -> int:
        """All ways are open again. Returns how many packets have vanished in ``cut`` ones."""
        await run("ip", "link", "set", self.name, "up")
        rules = json.loads(await run(*self.enter, "nft", "--json", "list", "table", "ip", "cut"))["nftables"]
        parts = [part for entry in rules for part in entry.get("rule", {}).get("expr", ())]
        await self._rules("flush table ip cut")
        return sum(part["counter"]["packets"] for part in parts if "counter" in part)

    async def close(self) -> None:
        await _drop(self.name)

    async def _rules(self, text: str) -> None:
        await run(*self.enter, "nft", "-f", "-", stdin=text)


def _led(ports: Sequence[int], to: str) -> str:
    listed = ", ".join(map(str, ports))
    return f"ip daddr 127.0.0.1 tcp dport {{ {listed} }} dnat to {to};" if ports else ""


async def _sweep() -> None:
    """Drop what processes left behind that are gone."""
    for name in [line.split()[0] for line in (await run("ip", "netns", "list")).splitlines() if line]:
        pid = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            await _drop(name)


async def _drop(name: str) -> None:
    for argv in (("nft", "delete", "table", "ip", name), ("ip", "link", "del", name), ("ip", "netns", "del", name)):
        with suppress(CommandFailed):  # not all of it need exist
            await run(*argv)
