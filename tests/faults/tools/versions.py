"""An older version of this project, out of its own history."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from tests.faults.tools import commands
from tests.faults.tools.commands import run

ROOT = Path(__file__).parents[3]
BACK = 20  # commits, where nothing has been released yet


def missing() -> str:
    if why := commands.missing("git"):
        return why
    asked = ("git", "-C", str(ROOT), "rev-parse", "--verify", "--quiet", f"HEAD~{BACK}")
    reaches = subprocess.run(asked, capture_output=True, timeout=commands.WITHIN_S, check=False).returncode == 0
    return "" if reaches else f"git's history here does not reach back {BACK} commits, as in a shallow clone"


async def older(directory: Path) -> tuple[str, Path]:
    """The last release, or what was ``BACK`` commits ago where there is none: its commit, and its files, laid in
    ``directory``. Raises CommandFailed where the history does not reach so far."""
    commit = (await _git("tag", "--list", "v*", "--sort=-creatordate")).partition("\n")[0] or f"HEAD~{BACK}"
    found = (await _git("rev-parse", "--short", f"{commit}^{{commit}}")).strip()
    tree, archive = directory / found, directory / f"{found}.tar"
    if not tree.exists():
        await _git("archive", f"--output={archive}", found)
        with tarfile.open(archive) as files:
            files.extractall(tree, filter="data")
    return found, tree


async def _git(*arguments: str) -> str:
    return await run("git", "-C", str(ROOT), *arguments)
