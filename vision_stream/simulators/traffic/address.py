"""``sim:`` addresses: a traffic scene as a camera's source."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from vision_stream.simulators.traffic.scene import SCENE_NAMES, TrafficScene

SCHEME = "sim"
OPTIONS = ("seed", "width", "height", "fps")


def parse_scene(address: str) -> TrafficScene:
    """The scene that an address names, such as ``sim:crossing?seed=3&width=1280&height=720&fps=10``.

    Everything after the name may be left out.

    Raises:
        ValueError: says which part of the address is wrong and what is allowed.

    >>> parse_scene("sim:quiet?seed=3").seed
    3
    """
    parts = urlsplit(address)
    if parts.scheme != SCHEME:
        raise ValueError(f"{address!r} is no scene: it should look like sim:{SCENE_NAMES[0]}?seed=1")
    options: dict[str, int | float] = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in OPTIONS:
            raise ValueError(f"{address!r}: unknown option {key!r}: use {', '.join(OPTIONS)}")
        if key in options:
            raise ValueError(f"{address!r}: {key} is given twice")
        try:
            options[key] = float(text) if key == "fps" else int(text)
        except ValueError:
            raise ValueError(f"{address!r}: {key} is {text!r}: use a number") from None
    try:
        return TrafficScene(parts.path, **options)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{address!r}: {error}") from None
