"""The stream addresses that a device gives: which to believe, and how they are written down."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

SCHEMES = ("rtsp", "rtsps", "http", "https")
PASSWORD = "CAM_PASSWORD"  # the environment variable, as in the shipped cameras.yaml


class Refused(Exception):
    """An address that is not to be opened; why, in words."""


def checked(url: str, *, host: str, elsewhere: bool) -> str:
    """A stream's URL without user and password.

    Args:
        host: of the device.
        elsewhere: whether it may lead to another host.
    Raises:
        Refused: it is none that is to be opened.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise Refused("its address is no URL") from None
    if parts.scheme not in SCHEMES:
        raise Refused(f"its address is none of {', '.join(SCHEMES)}")
    if not parts.hostname or not _plain(url):
        raise Refused("its address is no URL")
    if parts.hostname != host and not elsewhere:
        raise Refused(f"its address leads to another host, {parts.hostname} (--allow-other-hosts)")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{name}{port}{parts.path}{query}"


def without(url: str, password: str) -> str:
    """The same where a device put the password into the path; for people."""
    for form in _forms(password):
        url = url.replace(form, "***")
    return url


def as_source(url: str, user: str, password: str) -> str:
    """The URL for config/cameras.yaml: the password is a variable, and nothing that the device wrote is one."""
    scheme, _, rest = url.replace("${", "$${").partition("://")
    for form in _forms(password):
        rest = rest.replace(form, f"${{{PASSWORD}}}")
    return f"{scheme}://{quote(user, safe='')}:${{{PASSWORD}}}@{rest}" if user else f"{scheme}://{rest}"


def _forms(password: str) -> list[str]:
    return [form for form in dict.fromkeys((password, quote(password, safe=""))) if form]


def _plain(url: str) -> bool:
    return all("!" <= char <= "~" and char not in "\"'<>\\`" for char in url)
