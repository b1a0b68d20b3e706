"""The dashboard's words: complete in both languages, and all of them used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from workers.gateway.server import STATIC

LANGUAGES = ("en", "zh")
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
OWN_FILES = sorted(path for path in STATIC.rglob("*") if path.suffix in {".js", ".css", ".html"})


def catalogue(language: str) -> dict[str, str]:
    text = (STATIC / "js" / "messages" / f"{language}.js").read_text(encoding="utf-8")
    return json.loads(text.removeprefix("export default ").rstrip().removesuffix(";"))


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def test_every_key_is_in_both_languages_with_the_same_placeholders():
    english, chinese = (catalogue(language) for language in LANGUAGES)

    assert english.keys() == chinese.keys()
    assert {key: placeholders(text) for key, text in english.items()} == {
        key: placeholders(text) for key, text in chinese.items()
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_key_stands_twice_and_none_is_empty(language):
    text = (STATIC / "js" / "messages" / f"{language}.js").read_text(encoding="utf-8")
    keys = re.findall(r'^  "([^"]+)":', text, re.MULTILINE)

    assert sorted(keys) == sorted(set(keys))
    assert all(catalogue(language).values())


def test_every_key_that_the_page_names_exists_and_every_key_is_named():
    source = "".join(path.read_text(encoding="utf-8") for path in SCRIPTS if path.parent.name != "messages")
    english = catalogue("en")
    named = set(re.findall(r'"((?:[a-z]+\.)+[a-z.]+)"', source)) - {"vision-stream.language", "vision-stream.zones"}
    made = tuple(re.findall(r"`((?:[a-z]+\.)+)\$\{", source))  # t(`risk.${level}`)

    areas = {key.split(".")[0] for key in english}

    assert {key for key in named if key.split(".")[0] in areas} <= english.keys()
    assert {key for key in english if key not in named and not key.startswith(made)} == set()


@pytest.mark.parametrize("path", OWN_FILES, ids=lambda path: str(path.relative_to(STATIC)))
def test_the_page_asks_no_other_host_and_writes_no_markup_from_data(path: Path):
    text = path.read_text(encoding="utf-8")

    assert not re.findall(r"(?:src|href)=\"https?://|@import|url\(https?:|from \"https?:", text)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
