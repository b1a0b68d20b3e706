"""``vision-stream bundle``: what a supporter needs to see, in one file, without a secret."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from vision_stream.cli.check_config import ConfigDir
from vision_stream.errors import VisionStreamError


def bundle(
    config_dir: ConfigDir = None,
    logs: Annotated[Path, typer.Option(help="directory of logs to take the ends of")] = Path("logs/streaming"),
    out: Annotated[Path | None, typer.Option(help="the archive; else vision-stream-bundle-TIME.tar.gz here")] = None,
) -> None:
    """Gather settings, versions, doctor's findings, metrics and logs for a supporter; secrets are masked.

    A configuration that cannot be used ends it with 2 and says what is wrong: send that.
    """
    from vision_stream import config
    from vision_stream import logs as logging_
    from vision_stream.support.bundle import write

    loaded = config.load_with_places(config_dir)
    logging_.mute_kafka_client()
    archive = out or Path(time.strftime("vision-stream-bundle-%Y%m%d-%H%M%S.tar.gz", time.gmtime()))
    try:
        missing = write(loaded, logs, archive)
    except OSError as error:
        raise VisionStreamError(f"cannot write {archive}: {error.strerror}", remedy="give another --out") from error
    for name, why in missing.items():
        print(f"{name}: {why}", file=sys.stderr)
    typer.echo(f"{archive}: look through it before you send it; addresses, camera names and log lines are in there")


def register(app: typer.Typer) -> None:
    app.command()(bundle)
