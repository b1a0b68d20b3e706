"""A second wall behind the relay's: a decoder that is lied to cannot connect elsewhere, whatever the relay overlooked.

Landlock, of Linux 6.7 and newer, takes from a thread, and from those that it starts, the right to connect to any TCP
port but one. Not to any address but one: elsewhere that port, which the system chose for the relay, is most likely
closed. Python has no binding for it, so these are the system's calls, whose numbers are the same on x86-64 and ARM64.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

CONFINING = "Linux 6.7 or newer; in a container, a profile that lets landlock_create_ruleset through"
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_TELL_VERSION = 1  # of _CREATE
_SINCE_VERSION = 4  # of Landlock: it knows of TCP
_NET_PORT, _CONNECT_TCP = 2, 1 << 1
_NO_NEW_PRIVILEGES = 38  # of prctl; the kernel wants it first


def can_confine() -> bool:
    """Whether ``connect_only_to`` can; an older kernel cannot, nor a container whose profile forbids these calls."""
    if not _known():
        return False
    nothing = ctypes.c_size_t(0)
    return (
        ctypes.CDLL(None).syscall(ctypes.c_long(_CREATE), None, nothing, ctypes.c_uint(_TELL_VERSION)) >= _SINCE_VERSION
    )


def _known() -> bool:
    return sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")


def connect_only_to(port: int) -> bool:
    """Whether this thread may connect to no other TCP port from now on; False: the system cannot do that."""
    if not _known():
        return False
    libc = ctypes.CDLL(None)
    handled = struct.pack("=QQ", 0, _CONNECT_TCP)  # of files, of the network
    rules = libc.syscall(ctypes.c_long(_CREATE), handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    if rules < 0:
        return False
    try:
        allowed = struct.pack("=QQ", _CONNECT_TCP, port)
        return (
            libc.syscall(ctypes.c_long(_ADD), rules, _NET_PORT, allowed, ctypes.c_uint(0)) == 0
            and libc.prctl(_NO_NEW_PRIVILEGES, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0))) == 0
            and libc.syscall(ctypes.c_long(_RESTRICT), rules, ctypes.c_uint(0)) == 0
        )
    finally:
        os.close(rules)
