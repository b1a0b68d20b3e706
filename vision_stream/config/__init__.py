"""Files, environment and command line to ``Settings``; or every problem with them, each in at most five lines.

Read it in the order of the data: ``environment`` (``ALGO_`` names, ``.env``), ``yaml_nodes`` (a file to values with
their places), ``files`` (a directory of them), ``layers`` (what stands over what), ``validation`` and ``problems``
(what is wrong, in words), ``advice`` (what is allowed and yet unlikely to be meant). ``schema`` tells them what
``settings`` declares. Precedence: command line, environment, ``.env``, YAML, default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import SecretStr, ValidationError

from vision_stream.config import advice, environment, layers
from vision_stream.config.files import FilesReader
from vision_stream.config.problems import InvalidConfig, Path, Place, Problem
from vision_stream.config.validation import explain
from vision_stream.redaction import register_secret, register_url
from vision_stream.settings import Settings

__all__ = ["InvalidConfig", "Loaded", "Place", "Problem", "load", "load_with_places"]

HERE = FilePath("config")  # below the current directory, where neither the command line nor the environment names one
ENV_FILE = FilePath(".env")


@dataclass(frozen=True)
class Loaded:
    """The settings, the layers that they came from (first wins), and what deserves a second look."""

    settings: Settings
    layers: tuple[layers.Layer, ...]
    warnings: tuple[Problem, ...]
    config_dir: FilePath | None

    def source_of(self, path: Path) -> Place:
        """Where the value of the setting at ``path`` was written; the place ``default`` where nowhere."""
        return layers.source_of(path, self.layers)


def load(
    config_dir: FilePath | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: FilePath | None = None,
) -> Settings:
    """Read the settings, and register their secrets with ``redaction``.

    Args:
        config_dir: of the YAML files; else ALGO_CONFIG_DIR; else ./config, if there is one.
        overrides: from the command line, nested or with dotted names (``{"gateway.port": 8001}``); None: not given.
        environ: instead of the process's environment; then .env is read only if ``env_file`` names one.
        env_file: instead of ./.env, which may be missing.
    Raises:
        InvalidConfig: a ConfigError with all problems.
    """
    return load_with_places(config_dir, overrides, environ, env_file).settings


def load_with_places(
    config_dir: FilePath | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: FilePath | None = None,
) -> Loaded:
    """As ``load``, and say where each value was written."""
    process = environment.of_process(os.environ if environ is None else environ)
    dot_env = environment.Variables()
    if env_file is not None or environ is None:
        dot_env = environment.of_file(env_file or ENV_FILE, wanted=env_file is not None)
    texts = {**dot_env.texts, **process.texts}
    directory = _directory(config_dir, texts)
    files = FilesReader(texts)
    from_files = files.read(directory)
    from_process, from_dot_env = environment.settings_of(process), environment.settings_of(dot_env)
    found = (
        layers.of_overrides(overrides or {}),
        layers.of_values(from_process.values, from_process.places),
        layers.of_values(from_dot_env.values, from_dot_env.places),
        from_files,
    )
    found = (*_openai_key(texts, {**dot_env.places, **process.places}, found), *found)
    problems = [*from_process.problems, *from_dot_env.problems, *files.problems]
    try:
        settings = layers.validate(found)
    except ValidationError as error:
        told = {problem.place for problem in problems}  # a value that could not be read is also a wrong value
        wrong = [problem for problem in explain(error, found) if problem.place not in told]
        raise InvalidConfig([*problems, *wrong]) from None
    if problems:
        raise InvalidConfig(problems)
    _register_secrets(settings)
    return Loaded(settings, found, tuple(advice.on(settings, found)), directory)


def _directory(config_dir: FilePath | None, texts: Mapping[str, str]) -> FilePath | None:
    if config_dir is not None:
        return FilePath(config_dir)
    if named := texts.get("ALGO_CONFIG_DIR", "").strip():
        return FilePath(named)
    return HERE if HERE.is_dir() else None


def _openai_key(
    texts: Mapping[str, str], places: Mapping[str, Place], found: tuple[layers.Layer, ...]
) -> list[layers.Layer]:
    """A layer with one key ``openai``, where OPENAI_API_KEY is set and no keys are."""
    path: Path = ("llm", "keys")
    mine = layers.owner(path, found)
    if not texts.get("OPENAI_API_KEY", "").strip() or (mine and layers.get(mine.data, path)):
        return []
    key = {"id": "openai", "api_key": texts["OPENAI_API_KEY"].strip()}
    for field, name in (("base_url", "OPENAI_BASE_URL"), ("model", "OPENAI_MODEL")):
        if value := texts.get(name, "").strip():
            key[field] = value
    return [layers.of_values({path: [key]}, {path: places["OPENAI_API_KEY"]})]


def _register_secrets(settings: Settings) -> None:
    passwords = (settings.gateway.token, settings.kafka.security.password, settings.mqtt.password)
    tokens = [*(key.api_key for key in settings.llm.keys), *passwords]
    for secret in tokens:
        if isinstance(secret, SecretStr):
            register_secret(secret.get_secret_value())
    for url in [settings.redis.url, *(camera.source for camera in settings.cameras.cameras)]:
        register_url(url.get_secret_value())
