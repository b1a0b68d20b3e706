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

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NET_PORT, _CONNECT_TCP = 2, 1 << 1
_NO_NEW_PRIVILEGES = 38  # of prctl; the kernel wants it first


def connect_only_to(port: int) -> bool:
    """Whether this thread may connect to no other TCP port from now on; False: the system cannot do that."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
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
