"""Writes the archive that goes to a supporter. Every line passes through ``redaction.mask`` on its way in."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path

from vision_stream.config import Loaded
from vision_stream.redaction import mask
from vision_stream.support.parts import parts


def write(loaded: Loaded, logs: Path, archive: Path) -> dict[str, str]:
    """Gather everything into ``archive`` (.tar.gz); returns what could not be gathered, and why.

    Raises:
        OSError: the archive cannot be written.
    """
    missing: dict[str, str] = {}
    texts: dict[str, str] = {}
    for name, gather in parts(loaded, logs).items():
        try:
            texts[name] = gather()
        except Exception as error:  # a part that fails is news for the supporter, and no reason to have none
            missing[name] = texts[name] = f"not gathered: {type(error).__name__}: {error}"
    root = archive.name.partition(".")[0]
    with archive.open("xb") as file:
        archive.chmod(0o600)
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, text in texts.items():
                _add(tar, f"{root}/{name}", "\n".join(mask(line) for line in text.split("\n")))
    return {name: mask(why) for name, why in missing.items()}


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode(errors="replace")
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
    tar.addfile(entry, io.BytesIO(content))
