"""Keeps secrets out of what people read: a URL without its password, and any text without the secrets we know.

The first line of defence is that secrets are ``SecretStr`` and never put into a message. This is the second:
``config`` registers each secret that it reads, and ``logs`` passes every rendered line through ``mask``.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote, unquote, urlsplit

MASK = "***"
SHORTEST = 6  # characters. Shorter ones would mask ordinary words and numbers; a log line is no help against them.

_USERINFO = re.compile(r"(?<=://)[^/?#\s\"'<>]*@")
_SECRET_NAME = r"[\w.-]*(?:api_?key|key|token|secret|passw(?:or)?d|pwd|pass|auth|sig(?:nature)?|credentials?)"
_QUERY_VALUE = re.compile(rf"(?i)([?&;#]{_SECRET_NAME}=)[^&;#\s\"'<>]*")
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}")
_OPENAI_KEY = re.compile(r"\bsk-[\w-]{8,}")


def redact_url(url: str) -> str:
    """``url`` without user, password and the values of secret-looking query parameters; never raises.

    What is no URL (a path, a number, ``sim:crossing``) comes back as it is.

    >>> redact_url("rtsp://admin:hunter2@10.0.0.5/stream?channel=1&token=abc")
    'rtsp://10.0.0.5/stream?channel=1&token=***'
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return _QUERY_VALUE.sub(rf"\1{MASK}", scheme)
    return f"{scheme}://" + _QUERY_VALUE.sub(rf"\1{MASK}", _without_userinfo(rest))


def _without_userinfo(rest: str) -> str:
    """What follows ``://`` from the host on. By hand, as urlsplit raises on what people write, and takes a ``/`` or
    ``#`` in a password that nobody escaped for the end of the host: with a ``:`` before it, all up to the last ``@``
    goes, at the price of a host that is not shown where an ``@`` stands in the path."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    where = rest if ":" in authority else authority
    return rest[where.rfind("@") + 1 :]


class Secrets:
    """The secret values that this process has read, and the pattern that finds them in a text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        """Mask ``value`` from now on, also as JSON, ``repr`` and URLs write it; too short ones are left alone."""
        if len(value.strip()) < SHORTEST or value in self._values:
            return
        as_json = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
        forms = {value, *as_json, repr(value)[1:-1], quote(value, safe="")}
        self._values |= forms
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text


_known = Secrets()


def register_secret(value: str) -> None:
    """Mask ``value`` in every log line of this process from now on."""
    _known.add(value)


def register_url(url: str) -> None:
    """Register the password and the secret-looking query values that a URL carries, if any."""
    for part in _url_secrets(url):
        register_secret(part)
        register_secret(unquote(part))


def _url_secrets(url: str) -> list[str]:
    found = [match.group().partition("=")[2] for match in _QUERY_VALUE.finditer(url)]
    try:
        password = urlsplit(url).password
    except ValueError:
        password = None
    return [*found, password] if password else found


def mask(text: str) -> str:
    """``text`` without registered secrets, users and passwords in URLs, bearer tokens and OpenAI-style keys."""
    text = _known.mask(text)
    if "://" in text:
        text = _USERINFO.sub("", text)
    if "=" in text:
        text = _QUERY_VALUE.sub(rf"\1{MASK}", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:  # looked for first: the pattern takes half of a log line's time
        text = _BEARER.sub(rf"\1{MASK}", text)
    return _OPENAI_KEY.sub(f"sk-{MASK}", text) if "sk-" in text else text
