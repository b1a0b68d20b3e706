"""`vision-stream keys disable|enable` where nobody can be told."""

from __future__ import annotations

import pytest

from vision_stream.errors import ConfigError, DependencyError
from vision_stream.key_words import say, shed
from vision_stream.server_process import free_ports
from vision_stream.settings import KeySettings, LLMSettings, Settings

KEYS = LLMSettings(keys=(KeySettings(id="key-001", api_key="sk-canary"),))  # type: ignore[arg-type]


async def test_without_kafka_it_says_what_to_do_instead():
    with pytest.raises(ConfigError, match=r"without Kafka(.|\n)*set enabled of key-001"):
        await say(Settings(llm=KEYS), "key-001", disabled=True)


async def test_nothing_is_shed_without_kafka_and_it_says_where_to_lower_the_load():
    with pytest.raises(ConfigError, match=r"without Kafka(.|\n)*cameras.yaml"):
        await shed(Settings(), below=45)


async def test_an_unknown_key_is_an_error_that_lists_the_known():
    with pytest.raises(ConfigError, match=r"no key key-1(.|\n)*key-001"):
        await say(Settings(llm=KEYS), "key-1", disabled=True)


async def test_a_broker_that_is_away_is_said():
    (port,) = free_ports(1)
    kafka = {"bootstrap_servers": [f"127.0.0.1:{port}"], "connect_timeout_s": 1.0}
    settings = Settings.model_validate({"enable_kafka_streaming": True, "kafka": kafka, "llm": KEYS})
    with pytest.raises(DependencyError, match="Failed to connect to Kafka"):
        await say(settings, "key-001", disabled=True)
