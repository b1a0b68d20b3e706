"""``vision-stream dead-letters``: what could not be read or handled, and what to do with it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_stream.cli.audit import parse_since
from vision_stream.cli.check_config import ConfigDir

if TYPE_CHECKING:
    from vision_stream.dead_letters import Kept, Verdict
    from vision_stream.settings import Settings

SHOWN_BYTES = 2000
commands = typer.Typer(name="dead-letters", help="Messages that could not be read or handled.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="for a script")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")]
OfTopic = Annotated[str, typer.Option("--topic", help="only those that came from this topic")]


@commands.callback()
def _group() -> None:
    """Messages that could not be read or handled. An id is the place of the message: topic-partition@offset."""


@commands.command(name="list")
def list_(topic: OfTopic = "", config_dir: ConfigDir = None, as_json: AsJson = False) -> None:
    """All letters, the oldest first."""
    letters = asyncio.run(_letters(_settings(config_dir), topic))
    if as_json:
        print(json.dumps([_summary(kept) for kept in letters]))
        return
    for kept in letters:
        at = datetime.fromtimestamp(kept.letter.at, UTC).isoformat(timespec="seconds")
        typer.echo(f"{at}  {kept.id}  {len(kept.letter.value or b''):>8} bytes  {kept.letter.error[:160]}")
    typer.echo(f"{len(letters)} dead letters", err=True)


@commands.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID")], config_dir: ConfigDir = None) -> None:
    """One letter as JSON, its bytes as text where they are text and in base64."""
    for kept in asyncio.run(_letters(_settings(config_dir), "")):
        if kept.id == letter_id:
            print(json.dumps(_whole(kept), indent=2, ensure_ascii=False))
            return
    raise _absent(letter_id)


@commands.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="these; none: all")] = None,
    topic: OfTopic = "",
    unreadable: Annotated[
        bool, typer.Option("--unreadable", help="send also what this version cannot read, for a newer worker")
    ] = False,
    dry_run: DryRun = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Send letters to the topics that they came from. Safe to repeat: a letter is sent once.

    What this version still cannot read is left alone. A task or outcome is handled as if it had come late; a detection
    that newer ones have followed is passed over by the gate. Run one replay at a time.
    """
    verdicts = asyncio.run(_replay(_settings(config_dir), set(ids or ()), topic, unreadable, dry_run))
    missing = set(ids or ()) - {verdict.kept.id for verdict in verdicts}
    if as_json:
        found = [{"id": v.kept.id, "fate": v.fate, "why": v.why} for v in verdicts]
        print(json.dumps({"dry_run": dry_run, "letters": found}))
    else:
        for verdict in verdicts:
            typer.echo(f"{verdict.fate:14}  {verdict.kept.id}  {verdict.why[:160]}".rstrip())
        counts = Counter(verdict.fate for verdict in verdicts)
        typer.echo(", ".join(f"{n} {fate}" for fate, n in sorted(counts.items())) or "nothing to replay", err=True)
    if missing:
        raise _absent(sorted(missing)[0])


@commands.command()
def purge(
    before: Annotated[str, typer.Option(help="only those older than 30s, 15m, 2h, 7d, or a time; else all")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    config_dir: ConfigDir = None,
) -> None:
    """Delete letters for good."""
    bound = parse_since(before, time.time()) if before else None
    if not yes:
        typer.confirm(
            f"Delete {'the dead letters from before ' + before if before else 'all dead letters'}?", abort=True
        )
    print(f"{asyncio.run(_purge(_settings(config_dir), bound))} deleted")


def _absent(letter_id: str) -> Exception:
    from vision_stream.errors import VisionStreamError

    return VisionStreamError(f"there is no letter {letter_id!r}", remedy="see `vision-stream dead-letters list`")


def _settings(config_dir: Any) -> Settings:
    from vision_stream import config

    return config.load(config_dir)


async def _letters(settings: Settings, topic: str) -> list[Kept]:
    from vision_stream.dead_letters.desk import Desk

    async with Desk.open(settings) as desk:
        letters = [kept for kept in await desk.letters() if topic in ("", kept.letter.topic)]
    if desk.unreadable:
        typer.echo(f"{desk.unreadable} cannot be read: they are of another version", err=True)
    return letters


async def _replay(settings: Settings, ids: set[str], topic: str, unreadable: bool, dry_run: bool) -> list[Verdict]:
    from vision_stream.dead_letters import plan
    from vision_stream.dead_letters.desk import Desk

    async with Desk.open(settings) as desk:
        letters = [kept for kept in await desk.letters() if topic in ("", kept.letter.topic)]
        letters = [kept for kept in letters if not ids or kept.id in ids]
        sent, places = await desk.replayed(letters)
        verdicts = list(plan(letters, sent, places, settings.kafka.topics, unreadable=unreadable))
        if not dry_run:
            await desk.send([verdict.kept for verdict in verdicts if verdict.fate == "send"])
    return verdicts


async def _purge(settings: Settings, before: float | None) -> int:
    from vision_stream.dead_letters.desk import Desk

    async with Desk.open(settings) as desk:
        return await desk.purge(before)


def _summary(kept: Kept) -> dict[str, Any]:
    letter = kept.letter
    return {
        "id": kept.id,
        "topic": letter.topic,
        "at": letter.at,
        "error": letter.error,
        "bytes": len(letter.value or b""),
        "place": f"{kept.partition}@{kept.offset}",
    }


def _whole(kept: Kept) -> dict[str, Any]:
    value = kept.letter.value
    return {
        **_summary(kept),
        "key": None if kept.letter.key is None else kept.letter.key.decode(errors="replace"),
        "text": None if value is None else value[:SHOWN_BYTES].decode(errors="replace"),
        "base64": None if value is None else base64.b64encode(value).decode(),
    }


def register(app: typer.Typer) -> None:
    app.add_typer(commands)
