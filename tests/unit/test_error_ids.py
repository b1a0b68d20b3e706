"""Each error id that a user can see has its section, in both languages, with a first step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import ROOT
from vision_stream.errors import VisionStreamError
from vision_stream.kafka_client import unreachable
from vision_stream.settings import KafkaSettings

ID = re.compile(r"\bVS-\d{3}\b")
SHOWN = {
    found
    for package in ("vision_stream", "workers", "agents", "tables")
    for path in (ROOT / package).rglob("*.py")
    for found in ID.findall(path.read_text())
}
PAGES = {"errors.md": "First step", "errors.zh-CN.md": "第一步"}


@pytest.mark.parametrize("page", PAGES)
def test_each_id_has_its_section_with_a_first_step_and_no_section_is_left_over(page: str):
    text = (ROOT / "docs" / page).read_text()
    sections = dict(re.findall(r"^## (VS-\d{3})\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert sections.keys() == SHOWN
    assert all(PAGES[page] in section for section in sections.values())


def test_an_error_says_its_id_below_the_remedy():
    assert str(VisionStreamError("it broke", remedy="mend it", error_id="VS-999")).splitlines() == [
        "it broke",
        "  remedy: mend it",
        "  more: VS-999 in docs/errors.md",
    ]


def test_kafka_that_cannot_be_reached_is_said_in_the_words_of_the_guide():
    error = unreachable(KafkaSettings(), TimeoutError(), within_s=5)
    assert error.what == "Failed to connect to Kafka at localhost:9092 within 5 s: TimeoutError"
    assert error.error_id in Path(ROOT / "docs/errors.md").read_text()
