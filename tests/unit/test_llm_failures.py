"""What a provider's refusal means: the kind, how long to wait, and no secret in its words."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from multidict import CIMultiDict

from vision_stream.llm.failures import CallFailed, from_status
from vision_stream.llm.retry_after import retry_after

SECRET = "canary-without-a-prefix"


def refused(status: int, body: bytes = b"", **headers: str) -> CallFailed:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return from_status(status, named, body, now=1000.0, secret=SECRET)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", "unauthorized"),
        (403, b"", "unauthorized"),
        (400, b'{"error": {"message": "API key not valid. Please pass a valid API key."}}', "unauthorized"),
        (429, b"", "rate_limited"),
        (500, b"", "server"),
        (502, b"<html>", "unavailable"),
        (503, b"", "unavailable"),
        (529, b"", "unavailable"),
        (408, b"", "unavailable"),
        (404, b'{"error": {"message": "The model does not exist"}}', "misconfigured"),
        (307, b"", "misconfigured"),
        (400, b'{"error": {"message": "Image too large"}}', "bad_request"),
        (413, b"", "bad_request"),
        (400, b'{"error": {"message": "Unsupported: response_format json_schema"}}', "unsupported"),
        (422, b'{"detail": "json_object not supported"}', "unsupported"),
        (204, b"", "unreadable"),
    ],
)
def test_the_status_and_the_words_decide_the_kind(status, body, kind):
    assert refused(status, body).kind == kind


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": formatdate(1030, usegmt=True)}, 30.0),
        ({"Retry-After": formatdate(900, usegmt=True)}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "250ms"}, 0.25),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}, None),
    ],
)
def test_every_way_to_say_how_long_is_understood(headers, seconds):
    assert retry_after(CIMultiDict(headers), now=1000.0) == seconds


def test_the_providers_own_words_are_kept_and_cut():
    assert refused(500, b'{"error": {"message": "Out of  cheese"}}').what == "500 Out of cheese"
    assert len(refused(500, b"x" * 10_000).what) == 300


@pytest.mark.parametrize(
    "shape", ["Incorrect key: %s", '{"error": {"message": "Incorrect key: %s"}}', '{"error": "%s"}']
)
def test_a_provider_that_repeats_the_key_does_not_get_it_into_our_words(shape):
    failure = refused(401, (shape % SECRET).encode())
    assert SECRET not in str(failure)
    assert "***" in str(failure)


def test_a_key_across_the_end_of_what_is_kept_is_not_kept_in_part():
    failure = refused(500, b"." * 288 + SECRET.encode())
    assert SECRET[:4] not in str(failure)


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b'{"error": null}', b'{"error": {"message": 5}}', b"\xff\xfe", b"[" * 9999]
)
def test_no_body_breaks_the_reading(body):
    assert refused(500, body).kind == "server"
