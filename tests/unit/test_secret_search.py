"""A planted leak is found in every form, wherever it stands; and what is no leak is not."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from tests.secret_search import Searcher, forms

SECRET = 'cänary-7f/31"+& \\x9Zq'
LEAKS: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "JSON": lambda secret: json.dumps({"key": f"Bearer {secret}"}).encode(),
    "JSON as UTF-8": lambda secret: json.dumps({"key": secret}, ensure_ascii=False).encode(),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"key": secret})).encode(),
    "repr": lambda secret: repr([secret]).encode(),
    "URL": lambda secret: f"rtsp://admin:{quote(secret, safe='')}@10.0.0.5/".encode(),
    "form": lambda secret: f"token={quote_plus(secret)}&a=1".encode(),
    "lower-case URL": lambda secret: quote(secret, safe="").replace("%C3%A4", "%c3%a4").lower().encode(),
    "URL in URL": lambda secret: quote(quote(secret, safe=""), safe="").encode(),
    "hex": lambda secret: secret.encode().hex().encode(),
    "HEX": lambda secret: secret.encode().hex().upper().encode(),
    "UTF-16": lambda secret: secret.encode("utf-16"),
    **{
        f"base64 after {n} bytes": lambda secret, n=n: base64.b64encode(b"user:pass"[:n] + secret.encode() + b"@host")
        for n in range(7)
    },
    "base64 of URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()),
    **{
        name: lambda secret, name=name: hashlib.new(name, secret.encode()).hexdigest().encode()
        for name in ("md5", "sha1", "sha256", "sha512")
    },
    "SHA256": lambda secret: hashlib.sha256(secret.encode()).hexdigest().upper().encode(),
    "sha256 in base64": lambda secret: base64.b64encode(hashlib.sha256(secret.encode()).digest()),
    "sha1 in base64 of URLs": lambda secret: base64.urlsafe_b64encode(hashlib.sha1(secret.encode()).digest()),
}
# A URL written wholly in lower case would need a secret without capitals.
SECRETS = {name: SECRET.lower() if name == "lower-case URL" else SECRET for name in LEAKS}


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_found(name: str):
    secret = SECRETS[name]
    data = b"a line before\n" + LEAKS[name](secret) + b"\nand one behind"

    assert Searcher({"other": "other-canary-1", "key": secret}).search("log", data)


@pytest.mark.parametrize("name", LEAKS)
def test_another_secret_is_not_taken_for_it(name: str):
    data = LEAKS[name]("quite-another-0815-secret")

    assert Searcher({"key": SECRETS[name]}).search("log", data) == []


def test_a_hit_says_which_secret_how_and_where_once():
    data = b"x" + base64.b64encode(SECRET.encode()) * 2

    assert Searcher({"API key": SECRET}).search("redis alerts:cam-01", data) == [
        "API key as base64 in redis alerts:cam-01"
    ]


def test_noise_holds_no_form_by_chance():
    noise = zlib.compress(bytes(range(256)) * 4000) + base64.b64encode(bytes(range(256)) * 4000)

    assert Searcher({"key": SECRET}).search("noise", noise) == []


def test_a_canary_too_short_to_search_for_is_refused():
    with pytest.raises(ValueError, match="at least"):
        forms("hunter2")
