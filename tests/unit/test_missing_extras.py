"""Without an extra, who needs it says which one to install."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from vision_stream.cli import build
from vision_stream.errors import ConfigError
from vision_stream.settings import Settings
from workers.mqtt.beside import telling


async def test_mqtt_without_its_client_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    monkeypatch.delitem(sys.modules, "workers.mqtt.link", raising=False)
    with pytest.raises(ConfigError, match=r"vision-stream\[mqtt\]"):
        async with telling(Settings(), ()):
            pass


def test_the_search_for_cameras_without_its_parser_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    done = CliRunner().invoke(build(), ["cameras", "discover"])
    assert isinstance(done.exception, ConfigError)
    assert "vision-stream[onvif]" in str(done.exception)
