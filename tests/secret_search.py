"""Finds a secret in bytes, however it was written there: plain, escaped, encoded or hashed.

    Searcher({"camera password": "hunter2-canary"}).search("worker.log", data) -> ["camera password as base64 in ..."]

Made for random canaries of at least ``SHORTEST`` characters: a short word would be found by chance.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus

SHORTEST = 12  # characters: below it the inner part of a base64 form is a word that turns up by chance
HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")


def forms(secret: str) -> dict[bytes, str]:
    """Every way of writing ``secret`` that is looked for, with its name. Hex forms are lower case."""
    if len(secret) < SHORTEST:
        raise ValueError(f"a canary has at least {SHORTEST} characters")
    found: dict[bytes, str] = {}
    for name, text in (*_texts(secret), *_base64s(secret.encode()), *_hashes(secret.encode())):
        found.setdefault(text.encode(), name)
    found.setdefault(secret.encode().hex().encode(), "hex")
    found.setdefault(secret.encode("utf-16-le"), "UTF-16")
    return found


def _texts(secret: str) -> Iterator[tuple[str, str]]:
    yield "plain text", secret
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield "JSON", escaped
        yield "JSON in JSON", json.dumps(escaped)[1:-1]
    yield "Python's repr", repr(secret)[1:-1]
    yield "Python's repr", ascii(secret)[1:-1]
    yield "HTML", html.escape(secret)
    for once in (quote(secret, safe=""), quote(secret), quote_plus(secret)):
        yield "a URL", once
        yield "a URL", re.sub("%..", lambda match: match[0].lower(), once)
        yield "a URL in a URL", quote(once, safe="")


def _base64s(secret: bytes) -> Iterator[tuple[str, str]]:
    """At each of its three places in longer encoded bytes: the part that its neighbours leave alone."""
    for before in range(3):
        whole = base64.b64encode(bytes(before) + secret)
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        inner = whole[first:last].decode()
        yield "base64", inner
        yield "base64 of URLs", inner.translate(str.maketrans("+/", "-_"))


def _hashes(secret: bytes) -> Iterator[tuple[str, str]]:
    for name in HASHES:
        digest = hashlib.new(name, secret).digest()
        yield f"{name} in hex", digest.hex()
        yield f"{name} in base64", base64.b64encode(digest).decode().rstrip("=")
        yield f"{name} in base64 of URLs", base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Searcher:
    """Looks for several secrets, by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._meanings = {
            form: f"{name} as {how}" for name, secret in secrets.items() for form, how in forms(secret).items()
        }

    def search(self, place: str, data: bytes) -> list[str]:
        """What was found, each kind once; hex is found in any case."""
        lowered = data.lower()
        # One form after the other: a pattern of them all is ten times slower than `in`.
        hits = {meaning for form, meaning in self._meanings.items() if form in data or form in lowered}
        return sorted(f"{hit} in {place}" for hit in hits)
