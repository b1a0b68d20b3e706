"""The search: all that answer, asked side by side."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp

from vision_stream.own_thread import in_own_thread
from workers.onvif.device import Device, DeviceClient, NotAnswered
from workers.onvif.probe import Found, ask, urlsplit_host
from workers.onvif.soap import Account

AT_ONCE = 16  # devices asked
DEVICE_SERVICE = "onvif/device_service"  # where every device has it


@dataclass(frozen=True)
class Camera:
    """A device that was found; ``device`` is None where it could not be asked, and ``why`` says the cause."""

    host: str
    name: str
    device: Device | None
    why: str = ""


async def discover(
    local: Iterable[str],
    at: Sequence[str] = (),
    *,
    account: Account | None,
    listen_s: float,
    ask_s: float,
    elsewhere: bool = False,
) -> list[Camera]:
    """Search from the ``local`` addresses, or ask only those named by ``at``.

    Args:
        at: HOST or HOST:PORT, or URLs of device services.
        account: proven to each device that answers.
        listen_s: how long answers to the search are waited for.
        ask_s: how long one device has for all its answers.
        elsewhere: whether addresses that a device gives may be those of other hosts.
    """
    found = at or await ask(local, listen_s=listen_s)
    limit = asyncio.Semaphore(AT_ONCE)

    async def describe(each: Found | str) -> Camera:
        async with limit:
            there = await _named(each, within_s=ask_s) if isinstance(each, str) else each
            if isinstance(there, Camera):
                return there
            return await _describe(there, account, ask_s=ask_s, elsewhere=elsewhere)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(describe(each)) for each in found]
    return [task.result() for task in tasks]


async def _named(address: str, *, within_s: float) -> Found | Camera:
    """By its number: a device's addresses are compared with it. A Camera: it has none, and why."""
    url = address if "://" in address else f"http://{address}/{DEVICE_SERVICE}"
    name = urlsplit_host(url)
    if name is None:
        return Found(address, ())
    look_up = partial(socket.getaddrinfo, name, None, family=socket.AF_INET)
    try:
        async with asyncio.timeout(within_s):
            known = await in_own_thread(look_up, name=f"look up {name}")
    except TimeoutError:
        return Camera(name, "", None, f"no name server answered within {within_s:g} s")
    except (OSError, UnicodeError):
        return Camera(name, "", None, "its name is not known")
    host = str(known[0][4][0])
    return Found(host, (url.replace(f"//{name}", f"//{host}", 1),), name=name if name != host else "")


async def _describe(found: Found, account: Account | None, *, ask_s: float, elsewhere: bool) -> Camera:
    addresses = found.addresses or (found.elsewhere if elsewhere else ())
    if not addresses:
        why = (
            "it gives the address of another host (--allow-other-hosts)"
            if found.elsewhere
            else "that is no address of a device"
        )
        return Camera(found.host, found.name, None, why)
    why = ""
    for url in sorted(addresses, key=lambda url: url.startswith("https"))[:2]:  # most certificates are the device's own
        async with _session(account) as session:
            try:
                device = await DeviceClient(session, url, account, elsewhere=elsewhere).describe(within_s=ask_s)
                return Camera(found.host, found.name, device)
            except NotAnswered as error:
                why = why or str(error)
    return Camera(found.host, found.name, None, why)


def _session(account: Account | None) -> aiohttp.ClientSession:
    """Proves the password to a device that wants HTTP's digest instead of SOAP's; sends it to none."""
    digest = (aiohttp.DigestAuthMiddleware(account.user, account.password),) if account is not None else ()
    return aiohttp.ClientSession(
        middlewares=digest, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
    )
