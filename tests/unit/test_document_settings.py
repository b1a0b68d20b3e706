"""docs/configuration.md says what the settings are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from vision_stream.config.schema import find, is_model, leaves, variables

ROOT = Path(__file__).parents[2]


def test_the_page_of_settings_is_current():
    script = [sys.executable, "scripts/document_settings.py", "--check"]

    done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_names_every_variable():
    page = (ROOT / "docs" / "configuration.md").read_text()

    assert [name for name in variables() if f"`{name}`" not in page] == []


def test_every_setting_says_what_it_means():
    items = [find((*leaf.path, 0, name)) for leaf in leaves().values() if leaf.item for name in _fields(leaf.item)]
    everything = [*leaves().values(), *filter(None, items)]

    assert [leaf.path for leaf in everything if not leaf.field.description] == []


def _fields(kind: object) -> list[str]:
    return list(kind.model_fields) if is_model(kind) else []  # pyright: ignore[reportAttributeAccessIssue]
