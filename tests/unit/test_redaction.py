"""No secret in what people read: URLs, and log lines of any origin."""

from __future__ import annotations

import logging

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_stream import logs
from vision_stream.redaction import Secrets, mask, redact_url, register_secret, register_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:hunter2@10.0.0.5:554/stream", "rtsp://10.0.0.5:554/stream"),
        ("rtsp://admin@10.0.0.5/stream", "rtsp://10.0.0.5/stream"),
        ("redis://:secret@redis:6379/0", "redis://redis:6379/0"),
        ("rtsp://admin:pa/ss#w?o@rd@10.0.0.5/stream", "rtsp://10.0.0.5/stream"),
        ("rtsp://[bad:hunter2@10.0.0.5/s", "rtsp://10.0.0.5/s"),
        ("http://cam/video?user=a&password=hunter2&q=1", "http://cam/video?user=a&password=***&q=1"),
        ("http://cam/video?Api-Key=k123&x=1", "http://cam/video?Api-Key=***&x=1"),
        ("http://cam/@person/live", "http://cam/@person/live"),
        ("sim:crossing?seed=3&fps=10", "sim:crossing?seed=3&fps=10"),
        ("/srv/videos/day@night.mp4", "/srv/videos/day@night.mp4"),
        ("0", "0"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str):
    assert redact_url(url) == shown


@settings(deadline=None)
@given(st.text())
def test_redacting_never_raises(text: str):
    redact_url(text)
    redact_url(f"rtsp://{text}")


@settings(deadline=None)
@given(
    user=st.text(st.characters(exclude_characters=":@/?#"), max_size=8),
    password=st.text(max_size=20).map(lambda text: f"CANARY{text}YRANAC"),
)
def test_no_password_survives_whatever_it_is_made_of(user: str, password: str):
    shown = redact_url(f"rtsp://{user}:{password}@10.0.0.5/stream")

    assert "CANARY" not in shown
    assert "YRANAC" not in shown


@settings(deadline=None)
@given(st.text(min_size=6).filter(lambda text: len(text.strip()) >= 6), st.text(max_size=5), st.text(max_size=5))
def test_a_registered_secret_is_masked_wherever_it_stands(secret: str, before: str, after: str):
    secrets = Secrets()
    secrets.add(secret)

    masked = secrets.mask(before + secret + after)

    assert secrets.mask(secret) == "***"
    assert secret not in masked or secret in "***"


def test_a_short_value_is_not_masked_as_it_would_hide_ordinary_words():
    secrets = Secrets()
    secrets.add("admin")

    assert secrets.mask("the admin page") == "the admin page"


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_log_line_shows_no_secret_whoever_writes_it(fmt, capsys: pytest.CaptureFixture[str], own_logging):
    logs.setup("INFO", fmt)
    secret, camera = 'canary-"quöted"-secret', "rtsp://admin:canary-camera@10.0.0.5/"
    register_secret(secret)
    register_url(camera)

    structlog.get_logger("ours").info("called", api_key=secret, nested={"url": [camera[13:26]]})
    logging.getLogger("theirs").warning("GET %s %s", camera.replace("camera", "unknown"), secret)
    try:
        raise RuntimeError(f"Bearer {camera[13:26]}, {secret}")
    except RuntimeError:
        logging.getLogger("theirs").exception("failed")

    shown = capsys.readouterr().err
    assert "called" in shown
    assert "RuntimeError" in shown
    assert "canary" not in shown


def test_openai_style_keys_are_masked_though_nobody_registered_them():
    assert mask("Incorrect API key provided: sk-proj-abcdefgh1234.") == "Incorrect API key provided: sk-***."
