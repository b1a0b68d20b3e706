"""Programs of the system, run to their end."""

from __future__ import annotations

import asyncio
import os
import shutil

WITHIN_S = 20.0


class CommandFailed(Exception):
    """A program of the system ended with another status than 0."""


async def run(*argv: str, stdin: str = "") -> str:
    """What the program printed. Raises CommandFailed where it does not end with 0 within ``WITHIN_S`` seconds."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            said, complained = await process.communicate(stdin.encode())
    except TimeoutError as error:
        process.kill()
        raise CommandFailed(f"{argv} did not end within {WITHIN_S:g} s") from error
    if process.returncode != 0:
        raise CommandFailed(f"{argv} ended with {process.returncode}: {complained.decode().strip()}")
    return said.decode()


def missing(*programs: str, root: bool = False) -> str:
    """Why these cannot be run here; empty where they can."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return "needs root" if root and os.geteuid() != 0 else ""
