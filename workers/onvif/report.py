"""What was found, as a table's rows, and as lines for config/cameras.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from workers.onvif.discover import Camera
from workers.onvif.soap import Account
from workers.onvif.streams import as_source, without

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9]+")


def rows(cameras: Iterable[Camera], account: Account | None) -> list[dict[str, Any]]:
    """A row a profile; one for a device without any."""
    return [row for camera in cameras for row in _rows(camera, account.password if account is not None else "")]


def _rows(camera: Camera, password: str) -> list[dict[str, Any]]:
    device = camera.device
    about = {
        "address": camera.host,
        "name": camera.name,
        "model": f"{device.maker} {device.model}".strip() if device is not None else None,
    }
    nothing = dict.fromkeys(("profile", "size", "fps", "codec"))
    if device is None or not device.profiles:
        return [{**about, **nothing, "stream": None, "why": without(camera.why, password) or "it has no video profile"}]
    return [
        {
            **about,
            "profile": profile.name,
            "size": f"{profile.width}x{profile.height}" if profile.width and profile.height else None,
            "fps": profile.fps,
            "codec": profile.codec,
            "stream": without(profile.stream, password) if profile.stream is not None else None,
            "why": without(profile.why, password) or None,
        }
        for profile in device.profiles
    ]


def as_yaml(cameras: Iterable[Camera], account: Account | None) -> str:
    """An entry for each device with a stream, its first; the others stand in comments. Empty where there is none."""
    entries = [_entry(camera, account) for camera in cameras]
    usable = [entry for entry in entries if entry]
    return "cameras:\n" + "".join(usable) if usable else ""


def _entry(camera: Camera, account: Account | None) -> str:
    profiles = camera.device.profiles if camera.device is not None else ()
    sources = [
        (profile, as_source(profile.stream, *_of(account))) for profile in profiles if profile.stream is not None
    ]
    if not sources:
        return ""
    name = (camera.name or (camera.device.model if camera.device is not None else "")).replace("${", "$${")
    entry = {"id": f"cam-{_NOT_IN_AN_ID.sub('-', camera.host).strip('-')}", "name": name, "source": sources[0][1]}
    lines = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True, width=1000)
    others = [f"  # or {profile.width}x{profile.height}: {source}\n" for profile, source in sources[1:]]
    return "".join(f"  {line}\n" for line in lines.splitlines()) + "".join(others)


def _of(account: Account | None) -> Sequence[str]:
    return (account.user, account.password) if account is not None else ("", "")
