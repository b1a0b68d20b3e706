"""Whether a model file may be loaded: most formats are programs, and loading one runs what its maker wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vision_stream.errors import ConfigError
from vision_stream.settings import ModelSettings

PLAIN_FILES = frozenset({".onnx"})
PLAIN_DIRECTORIES = ("_openvino_model", "_ncnn_model")  # as ultralytics names what it exports


def check_trust(path: Path, settings: ModelSettings) -> None:
    """Let pass what is plain data, and a program that the settings allow and name by its SHA-256.

    A plain file is compared too where a SHA-256 is given.

    Raises:
        ConfigError: a program without ``model.allow_code`` or ``model.sha256``, a file with another SHA-256, or a
            directory that may hold a program.
    """
    if path.is_dir():
        if not path.name.endswith(PLAIN_DIRECTORIES):
            kinds = " or ".join(f"*{kind}" for kind in PLAIN_DIRECTORIES)
            raise ConfigError(
                f"model.path: the directory {path} may hold a program", remedy=f"give a file, or a {kinds}"
            )
        return
    if path.suffix.lower() not in PLAIN_FILES:
        _check_allowed(path, settings)
    if settings.sha256 is not None:
        _check_hash(path, settings.sha256)


def _check_allowed(path: Path, settings: ModelSettings) -> None:
    kind = path.suffix or "nameless kind of"
    if not settings.allow_code:
        raise ConfigError(
            f"model.path: a {kind} file can run code of whoever made it",
            remedy="set model.allow_code and model.sha256 if you trust it, or export it: yolo export format=onnx",
        )
    if settings.sha256 is None:
        raise ConfigError(
            f"model.path: a {kind} file can run code, and model.sha256 does not say which file is meant",
            remedy=f"set model.sha256 to what its maker published; that of {path} is {sha256_of(path)}",
        )


def _check_hash(path: Path, wanted: str) -> None:
    found = sha256_of(path)
    if found != wanted.lower():
        raise ConfigError(
            f"model.path: {path} has the SHA-256 {found}, and model.sha256 is {wanted.lower()}",
            remedy="get the file that was meant, or correct model.sha256",
        )


def sha256_of(path: Path) -> str:
    """In hexadecimal. Raises ConfigError: the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"model.path: {path} cannot be read: {error.strerror}", remedy="check its rights") from None
