"""``vision-stream backup`` and ``restore``: configuration and alerts, before a change and after it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from vision_stream.cli.check_config import ConfigDir
from vision_stream.errors import ConfigError, VisionStreamError


def backup(
    config_dir: ConfigDir = None,
    history: Annotated[bool, typer.Option("--history/--no-history", help="with the alerts that Redis keeps")] = True,
    out: Annotated[Path | None, typer.Option(help="the archive; else vision-stream-backup-TIME.tar.gz here")] = None,
) -> None:
    """Keep the configuration's files, .env and the alerts. API keys are in it: only its owner may read it.

    Topics are no part of it: Kafka keeps them an hour to a week, and nothing reads them later.
    """
    from vision_stream import config
    from vision_stream.support import backup as support

    loaded = config.load_with_places(config_dir)
    archive = out or Path(time.strftime("vision-stream-backup-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    content = support.files(loaded)
    if history and loaded.settings.redis_enabled:
        content[support.HISTORY] = asyncio.run(support.history(loaded.settings))
    try:
        support.write(content, archive)
    except OSError as error:
        raise VisionStreamError(f"cannot write {archive}: {error.strerror}", remedy="give another --out") from error
    typer.echo(f"{archive}: {', '.join(content) or 'nothing; there are no files'}")


def restore(
    archive: Annotated[Path, typer.Argument(help="of vision-stream backup")],
    to: Annotated[Path, typer.Option(help="a new directory for the files; look at them, then move them")],
    history: Annotated[
        bool, typer.Option("--history", help="put the alerts back into Redis as it is configured now")
    ] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Unpack a backup into a new directory; with --history also put its alerts back."""
    from vision_stream import config
    from vision_stream.support import backup as support

    try:
        content = support.read(archive)
        to.mkdir(mode=0o700, parents=True)
        for name, data in content.items():
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600)
            target.write_bytes(data)
    except FileExistsError:
        raise ConfigError(f"{to} is there already", remedy="give a --to that is not") from None
    except OSError as error:
        raise VisionStreamError(f"{error.filename}: {error.strerror}") from error
    typer.echo(f"{len(content)} files in {to}/")
    if history and support.HISTORY in content:
        count = asyncio.run(support.restore_history(config.load(config_dir), content[support.HISTORY]))
        typer.echo(f"{count} alerts are back in Redis")


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
